"""PCA: one principal component of several columns."""

from tabpy_rs import publish

# More columns than this for one argument would drown the others.
MOST_TEXTS = 25


@publish(name="PCA", public=True, description="Returns the specified principal component")
def pca(component, _arg1, _arg2, *_argN):
    """
    Principal component analysis: of columns that belong together, the few that tell most.

    component is the number of the component that is returned, from 1 on; the other arguments are columns of
    the same length. A column of texts counts as one column for each different text, of which there may be 25.
    The result has a value for each row.
    """
    from pandas import DataFrame
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    if isinstance(component, list):
        # As Tableau sends a constant to a model extension.
        component = component[0]
    columns = []
    for number, column in enumerate((_arg1, _arg2, *_argN), start=1):
        if len(column) != len(_arg1):
            raise ValueError(f"PCA needs columns of one length: _arg1 has {len(_arg1)} rows, _arg{number} {len(column)}")
        if any(value is None for value in column):
            raise ValueError(f"PCA cannot take nulls: _arg{number} has some")
        if column and isinstance(column[0], (int, float)):
            columns.append(column)
            continue
        texts = sorted(set(column))
        if len(texts) > MOST_TEXTS:
            raise ValueError(f"PCA takes at most {MOST_TEXTS} different texts in a column: _arg{number} has {len(texts)}")
        columns += [[float(value == text) for value in column] for text in texts]
    if component != int(component) or not 1 <= component <= len(columns):
        raise ValueError(f"PCA has components 1 to {len(columns)} of these columns, not {component}")
    table = DataFrame(dict(enumerate(columns)), dtype=float)
    components = PCA().fit_transform(StandardScaler().fit_transform(table))
    if component > components.shape[1]:
        raise ValueError(f"PCA has only {components.shape[1]} components of {len(_arg1)} rows")
    return components[:, int(component) - 1].tolist()
