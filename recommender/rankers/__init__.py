"""List the rankers that a site can choose from, and make one by name."""

from importlib import import_module

from recommender.rankers.base import Ranker, check_settings

# Dotted paths, because some of these modules load torch and web processes must not.
RANKERS: dict[str, str] = {
    "popularity": "recommender.rankers.popularity.Popularity",
    "item_knn": "recommender.rankers.item_knn.ItemKnn",
    "user_knn": "recommender.rankers.user_knn.UserKnn",
    "session_knn": "recommender.rankers.session_knn.SessionKnn",
    "markov": "recommender.rankers.markov.Markov",
    "ease": "recommender.rankers.ease.Ease",
    "als": "recommender.rankers.als.Als",
    "bpr": "recommender.rankers.bpr.Bpr",
    "content": "recommender.rankers.content.Content",
    "sentences": "recommender.rankers.sentences.Sentences",
    "knowledge": "recommender.rankers.knowledge.Knowledge",
    "two_tower": "recommender.rankers.two_tower.TwoTower",
    "transformer": "recommender.rankers.transformer.Transformer",
    "hstu": "recommender.rankers.hstu.Hstu",
    "gru": "recommender.rankers.gru.Gru",
    "hybrid": "recommender.rankers.hybrid.Hybrid",
    "blend": "recommender.rankers.blend.Blend",
}
# Of these, the ones that do.
NETWORKS = frozenset({"two_tower", "transformer", "hstu", "gru"})


def load_ranker(name: str) -> type[Ranker]:
    """Import a ranker's class, and whatever it needs with it.

    Raises:
        ValueError: No ranker has this name.
    """
    if name not in RANKERS:
        raise ValueError(f"No ranker is called {name!r}; there are: {', '.join(RANKERS)}.")
    module, _, attribute = RANKERS[name].rpartition(".")
    kind: type[Ranker] = getattr(import_module(module), attribute)
    return kind


def make_ranker(name: str, settings: object = None) -> Ranker:
    """Make a ranker that has learned nothing yet.

    Raises:
        ValueError: The name or a setting is unknown, or a setting is no number that it can be.
    """
    kind = load_ranker(name)
    return kind(**check_settings(kind, {} if settings is None else settings))


def name_of(ranker: Ranker) -> str:
    """Return the name under which a ranker is listed."""
    path = f"{type(ranker).__module__}.{type(ranker).__qualname__}"
    return next(name for name, listed in RANKERS.items() if listed == path)


def ranker_choices() -> list[tuple[str, str]]:
    """Names and labels for a form."""
    return [(name, name.replace("_", " ").title()) for name in RANKERS]
