"""Sentiment Analysis: how positive a text is."""

from tabpy_rs import publish


@publish(
    name="Sentiment Analysis",
    public=True,
    description="Returns a sentiment score between -1 and 1 for a given string",
)
def sentiment_analysis(_arg1, library="nltk"):
    """
    The mood of English texts: a score from -1 (negative) to 1 (positive) for each.

    library chooses how it is found: nltk, by VADER's lexicon, which is made for short informal texts; or
    textblob, by the average polarity of words.
    """
    if isinstance(library, list):
        # As Tableau sends a constant to a model extension.
        library = library[0]
    score = _SCORES.get(library.lower())
    if score is None:
        raise ValueError(f"Sentiment Analysis knows the libraries {' and '.join(_SCORES)}, not {library}")
    for row, text in enumerate(_arg1, start=1):
        if not isinstance(text, str):
            raise TypeError(f"Sentiment Analysis takes texts: row {row} is a {type(text).__name__}")
    return [score(text) for text in _arg1]


_analyzer = None


def _vader(text):
    global _analyzer
    if _analyzer is None:
        from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

        _analyzer = SentimentIntensityAnalyzer()
    return _analyzer.polarity_scores(text)["compound"]


def _textblob(text):
    from textblob import TextBlob

    return TextBlob(text).sentiment.polarity


_SCORES = {"nltk": _vader, "textblob": _textblob}
