"""ttest: whether means differ."""

from tabpy_rs import publish


@publish(name="ttest", public=True, description="Returns the p-value from a t-test")
def ttest(_arg1, _arg2):
    """
    Student's t-test: how likely such a difference of means is by chance, from 0 to 1.

    _arg1 is a sample. _arg2 is a single number, the mean that is expected; or a second sample; or a column with
    two different values that divides _arg1 into two samples. Samples need not have the same variance (Welch).
    """
    from scipy import stats

    for name, sample in (("_arg1", _arg1), ("_arg2", _arg2)):
        if any(value is None for value in sample):
            raise ValueError(f"ttest cannot take nulls: {name} has some")
    if len(_arg2) == 1:
        return float(stats.ttest_1samp(_arg1, _arg2[0]).pvalue)
    classes = set(_arg2)
    if len(classes) != 2:
        return float(stats.ttest_ind(_arg1, _arg2, equal_var=False).pvalue)
    if len(_arg1) != len(_arg2):
        raise ValueError(f"ttest needs a class for each of the {len(_arg1)} values: _arg2 has {len(_arg2)}")
    samples = [[value for value, its in zip(_arg1, _arg2) if its == one] for one in classes]
    return float(stats.ttest_ind(*samples, equal_var=False).pvalue)
