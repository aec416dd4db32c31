"""Oracle: `PREDICTION(m USING …)`."""

from __future__ import annotations

from sqlglot.tokens import TokenType

from rain_debug.sql.forms.features import features, in_order, named
from rain_debug.sql.forms.reading import Edit, Reading
from rain_debug.sql.tokens import PREDICT, PREDICT_PROBA, Call, invoke, is_word, split


def prediction(call: Call, reading: Reading) -> Edit | None:
    """`PREDICTION(m USING a, b)` → `predict(m, a, b)`, and `PREDICTION_PROBABILITY(m, c USING *)`.

    Columns go by their names where these are the model's features, else by their places.
    """
    parts = split(call.inside, TokenType.USING) if call.name.startswith("prediction") else []
    if len(parts) != 2 or not all(parts):
        return None
    if call.name not in ("prediction", "prediction_probability"):
        hint = "PREDICTION and PREDICTION_PROBABILITY are"
        raise reading.wrong(call.parts, f"{call.parts[-1].text.upper()} is not read here", hint)
    before = split(parts[0])
    cost = [t for t in before[0] if is_word(t, "cost")]
    if cost and len(before[0]) > 1:
        raise reading.wrong(cost, "costs of predictions are not supported", "the likeliest class is predicted")
    name, info = reading.model(before[0])
    columns = [named(p) for p in split(parts[1])]
    if info is None or any(f.name is None for f in columns):
        given = features([f.tokens for f in columns], None, reading)
    else:
        given = in_order(columns, info, reading)
    place = call.parts[-1]
    if call.name == "prediction":
        return Edit(call.start, call.close + 1, invoke(place, PREDICT, [name, *given]))
    if len(before) != 2:
        classes = f"classes: {', '.join(map(str, info.classes))}" if info is not None else "name it before USING"
        what = "PREDICTION_PROBABILITY needs the class: PREDICTION_PROBABILITY(m, class USING *)"
        raise reading.wrong(call.whole, what, classes)
    return Edit(call.start, call.close + 1, invoke(place, PREDICT_PROBA, [name, *given, before[1]]))
