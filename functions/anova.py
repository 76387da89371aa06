"""anova: whether the means of several samples differ."""

from tabpy_rs import publish


@publish(name="anova", public=True, description="Returns the p-value from an ANOVA test")
def anova(_arg1, _arg2, *_argN):
    """
    One-way analysis of variance: how likely such differences of the samples' means are by chance, from 0 to 1.

    Each argument is one sample, a list of numbers.
    """
    from scipy import stats

    samples = [_arg1, _arg2, *_argN]
    for number, sample in enumerate(samples, start=1):
        for value in sample:
            if not isinstance(value, (int, float)):
                raise ValueError(f"anova takes numbers: _arg{number} has a {_kind(value)}")
    return float(stats.f_oneway(*samples).pvalue)


def _kind(value):
    return "null" if value is None else type(value).__name__
