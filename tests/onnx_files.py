"""ONNX files small enough to be written by hand, so that tests need no network and no library for making them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

Side = int | str
_FLOAT, _HALF, _INT64 = 1, 10, 7


def _varint(value: int) -> bytes:
    out = b""
    while True:
        value, low = value >> 7, value & 0x7F
        out += bytes([low | (0x80 if value else 0)])
        if not value:
            return out


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes | str) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _value_info(name: str, kind: int, shape: Sequence[Side]) -> bytes:
    sides = b"".join(_bytes(1, _number(1, s) if isinstance(s, int) else _bytes(2, s)) for s in shape)
    return _bytes(1, name) + _bytes(2, _bytes(1, _number(1, kind) + _bytes(2, sides)))


def _node(op: str, inputs: Sequence[str], outputs: Sequence[str], attributes: bytes = b"") -> bytes:
    names = b"".join(_bytes(1, i) for i in inputs) + b"".join(_bytes(2, o) for o in outputs)
    return names + _bytes(4, op) + attributes


def _ints(name: str, values: Sequence[int]) -> bytes:
    return _bytes(5, _bytes(1, name) + b"".join(_number(8, v % (1 << 64)) for v in values) + _number(20, 7))


def _int(name: str, value: int) -> bytes:
    return _bytes(5, _bytes(1, name) + _number(3, value) + _number(20, 2))


def mean_network(
    path: Path,
    shape: Sequence[Side] = (1, 3, "h", "w"),
    *,
    picture: str = "input",
    output: str = "out",
    half: bool = False,
    tokens: str | None = None,
    mask: str | None = None,
    everything: bool = False,
) -> Path:
    """A network that answers with the mean over the channels of its picture.

    half: in 16 bit. tokens: a further whole number it wants, and does not use but to add nothing. mask: name of a
    second output that is the same map. everything: it answers with one number, the mean of the whole picture.
    """
    kind, rank = _HALF if half else _FLOAT, len(shape)
    axes = list(range(rank)) if everything else [rank - 3]
    nodes = [_node("ReduceMean", [picture], ["mean"], _ints("axes", axes) + _int("keepdims", 1))]
    outer: list[Side] = [1] * rank if everything else [*shape[:-3], 1, *shape[-2:]]
    inputs = [_value_info(picture, kind, shape)]
    if tokens is not None:
        inputs.append(_value_info(tokens, _INT64, ()))
        nodes.append(_node("Cast", [tokens], ["cast"], _int("to", kind)))
        nodes.append(_node("Sub", ["cast", "cast"], ["zero"]))
        nodes.append(_node("Add", ["mean", "zero"], [output]))
    else:
        nodes.append(_node("Identity", ["mean"], [output]))
    outputs = [_value_info(output, kind, outer)]
    if mask is not None:
        nodes.append(_node("Identity", ["mean"], [mask]))
        outputs.append(_value_info(mask, kind, outer))
    graph = b"".join(_bytes(1, n) for n in nodes) + _bytes(2, "g")
    graph += b"".join(_bytes(11, i) for i in inputs) + b"".join(_bytes(12, o) for o in outputs)
    model = _number(1, 8) + _bytes(7, graph) + _bytes(8, _bytes(1, "") + _number(2, 13))
    path.write_bytes(model)
    return path
