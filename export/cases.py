"""The inputs on which an artifact is compared with its model: unseen, random, and mean where it matters."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from export.domains import Domain
from export.ports import TEXT, Port

Arrays = dict[str, np.ndarray]
# Steps; longer than any traced default, and not a multiple of the chunks in which a runtime may run them.
_SHORT, _LONG, _VERY_LONG = 7, 33, 546
_LEFT = "padding on the left"
# How many kinds of rows each pattern has; the first is the full one.
_PADDINGS = {"full, short, empty and broken rows": 5, _LEFT: 2}
_BATCH, _MOST_DATA = 32, 128
_EXTREME = 20.0  # saturates every gate


@dataclasses.dataclass(frozen=True)
class Case:
    """One set of inputs.

    Attributes:
        name: What is special about it.
        inputs: The arrays.
        harsh: Far larger values than usual.
        judged: Whether the values count; else only names, shapes and that they are finite.
    """

    name: str
    inputs: Arrays
    harsh: bool = False
    judged: bool = True


def make_cases(
    ports: Sequence[Port],
    domains: Mapping[str, Domain],
    *,
    batch: Sequence[int] = (1, 2, 5),
    time: Sequence[int] = (1, _SHORT, _LONG),
    seed: int = 0,
) -> Iterator[Case]:
    """The grid: batches, lengths, padding patterns, extreme values, ids at both ends.

    Args:
        ports: The model's inputs.
        domains: What values they take.
        batch: Batch sizes for inputs whose batch is dynamic.
        time: Lengths for inputs whose time axis is dynamic.
        seed: Of the random numbers.
    """
    maker = _Maker(ports, domains, np.random.default_rng(seed))
    longest, most = max(time), max(batch)
    yield from maker.padded(most, _SHORT)
    for size in batch if any(port.shape and port.shape[0] is None for port in ports) else [most]:
        for length in time if maker.sequences else [longest]:
            yield maker.case(f"batch {size}, time {length}", size, length)
    for case in maker.padded(most, longest):
        yield dataclasses.replace(case, name=f"{case.name}, time {longest}")
    if maker.sequences and max(time) == _LONG:
        yield maker.case(f"batch 1, time {_VERY_LONG}", 1, _VERY_LONG)
    yield maker.case("extreme values", most, longest, scale=_EXTREME)
    yield maker.case("ids at both ends", most, longest, ends=True)
    if maker.can_stagger:
        yield maker.case("sequences of different lengths", most, longest, stagger=True)


def data_cases(feeds: Sequence[Arrays], ports: Sequence[Port]) -> Iterator[Case]:
    """Real inputs, evenly chosen, together in batches where the batch is dynamic."""
    together = _BATCH if all(port.shape and port.shape[0] is None for port in ports) else 1
    chosen = [feeds[i] for i in np.unique(np.linspace(0, len(feeds) - 1, _MOST_DATA, dtype=int))] if feeds else []
    for number, at in enumerate(range(0, len(chosen), together)):
        part = chosen[at : at + together]
        arrays = (
            {port.name: np.concatenate([feed[port.name] for feed in part]) for port in ports}
            if together > 1
            else part[0]
        )
        yield Case(f"data, part {number + 1}", arrays)


class _Maker:
    def __init__(self, ports: Sequence[Port], domains: Mapping[str, Domain], rng: np.random.Generator) -> None:
        self._ports = ports
        self._domains = domains
        self._rng = rng
        self.sequences = sum(len(port.shape) > 1 and port.shape[1] is None for port in ports)
        # A mask by hand has the length of what it masks.
        masks = any(port.dtype == "bool" and len(port.shape) > 1 for port in ports)
        self.can_stagger = self.sequences > 1 and not masks
        self.has_padding = any(padding_of(port, domains) is not None for port in ports if len(port.shape) > 1)

    def padded(self, batch: int, time: int) -> Iterator[Case]:
        """Every kind of row in every pattern: all in one case, or in more where the batch is fixed to fewer rows."""
        if not self.has_padding:
            return
        rows = min(_concrete(port.shape, batch, time)[0] for port in self._ports if len(port.shape) > 1)
        for name, kinds in _PADDINGS.items():
            for first in range(0 if rows > 1 else 1, kinds, rows):  # the other cases are full
                where = f"{name}, from row {first + 1}" if rows < kinds else name
                yield self.case(where, batch, time, padding=(name, first))

    def case(
        self,
        name: str,
        batch: int,
        time: int,
        *,
        scale: float = 1.0,
        ends: bool = False,
        padding: tuple[str, int] | None = None,
        stagger: bool = False,
    ) -> Case:
        arrays: Arrays = {}
        for index, port in enumerate(self._ports):
            length = time + 2 * index if stagger else time
            shape = _concrete(port.shape, batch, length)
            arrays[port.name] = self._values(port, shape, scale, ends)
        for port in self._ports:
            if len(port.shape) > 1 and padding is not None:
                self._pad(port, arrays, *padding)
        return Case(name, arrays, harsh=scale > 1.0)

    def _values(self, port: Port, shape: tuple[int, ...], scale: float, ends: bool) -> np.ndarray:
        if port.dtype == "bool":
            return np.ones(shape, bool)
        if port.dtype == TEXT:
            return self._texts(self._domains[port.name].words, shape)
        if not np.issubdtype(np.dtype(port.dtype), np.integer):
            return (scale * self._rng.normal(size=shape)).astype(port.dtype)
        domain = self._domains[port.name]
        size = domain.size or 10
        # The padding value would mask at random places; that is what the padded cases are for.
        low = 1 if domain.padding == 0 and size > 1 else 0
        values = self._rng.integers(low, size, shape)
        if ends:
            values = np.where(self._rng.random(shape) < 0.5, low, size - 1)
        return values.astype(port.dtype)

    def _texts(self, words: Sequence[str], shape: tuple[int, ...]) -> np.ndarray:
        """Words, known and unknown, where there is an axis for them; else texts of some, at times of none."""
        longest = 1 if len(shape) > 1 and shape[1] > 1 else 2 * _SHORT
        counts = self._rng.integers(longest > 1, longest + 1, int(np.prod(shape)))
        texts = [" ".join(self._rng.choice([*words, "unknown"], count)) for count in counts]
        return np.array(texts, object).reshape(shape)

    def _pad(self, port: Port, arrays: Arrays, pattern: str, first: int) -> None:
        padding = padding_of(port, self._domains)
        if padding is None:
            return
        array = arrays[port.name]
        batch, time = array.shape[:2]
        masked = np.zeros((batch, time), bool)
        for row in range(batch):
            cut, kind = int(self._rng.integers(1, max(2, time))), (first + row) % _PADDINGS[pattern]
            if pattern == _LEFT:
                masked[row, :cut] = kind == 1
            elif kind == 1:
                masked[row, cut:] = True
            elif kind == 2:
                masked[row] = True
            elif kind == 3:
                masked[row] = self._rng.random(time) < 0.4
            elif kind == 4:
                masked[row, time // 2 :] = True
        array[masked] = padding


def padding_of(port: Port, domains: Mapping[str, Domain]) -> float | None:
    """The value that stands for padding in an input; None where none does."""
    return 0.0 if port.dtype == "bool" else domains[port.name].padding


def _concrete(shape: tuple[int | None, ...], batch: int, time: int) -> tuple[int, ...]:
    dynamic = {0: batch, 1: time}
    return tuple(dynamic.get(axis, 8) if size is None else size for axis, size in enumerate(shape))
