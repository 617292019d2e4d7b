"""Kernels that a compiled XLA program launches, read off its text: `python benchmarks/launches.py FILE`.

Every instruction that is no bookkeeping (parameters, constants, tuples, bitcasts) is one launch on a GPU and one thunk
on a CPU; loops count their bodies as often as they run. Bytes are those that a launch must at least read and write:
operands and result, of arrays that are only sliced or updated in place the slice. Operations are elements of arithmetic
results, and two for each product of a contraction; library calls other than contractions are not counted.
"""

import json
import math
import re
import sys
from pathlib import Path
from typing import NamedTuple

_BYTES = {"pred": 1, "s8": 1, "u8": 1, "s32": 4, "u32": 4, "f32": 4, "s64": 8, "u64": 8, "f64": 8, "c64": 8, "c128": 16}
_FREE = set(
    "parameter constant tuple get-tuple-element bitcast after-all partition-id replica-id opt-barrier "
    "async-done copy-done add-dependency".split()
)
_ARITHMETIC = set(
    "add subtract multiply divide exponential exponential-minus-one log log-plus-one sqrt rsqrt cbrt power tanh sine "
    "cosine tan atan2 logistic erf negate abs sign maximum minimum clamp select compare remainder floor ceil".split()
)
_SLICES = ("dynamic-slice", "slice", "gather")
_LINE = re.compile(r"^\s+(?:ROOT )?%?([\w.\-]+) = (\((?:[^()]|\([^()]*\))*\)|\S+) ([a-z][\w\-]*)\((.*)$")
_ARRAY = re.compile(r"([a-z]+\d*)\[([\d,]*)\]")


class Instruction(NamedTuple):
    """One line of a computation: result type, opcode, names of the operands, the rest of the line."""

    name: str
    type: str
    opcode: str
    operands: tuple[str, ...]
    rest: str
    is_root: bool


def parse(text: str) -> tuple[dict[str, dict[str, Instruction]], str]:
    """Computations {name: {instruction name: Instruction}} of an HLO module, and the name of the entry."""
    computations, entry, current = {}, "", None
    for line in text.splitlines():
        if current is None:
            head = re.match(r"^(ENTRY )?%?([\w.\-]+) \(.*\{\s*$", line)
            if head:
                current = computations[head.group(2)] = {}
                entry = head.group(2) if head.group(1) else entry
        elif line.startswith("}"):
            current = None
        else:
            found = _LINE.match(line)
            if found:
                name, kind, opcode, rest = found.groups()
                inner, after = _split(rest)
                operands = tuple(re.findall(r"%([\w.\-]+)", inner)) if opcode not in ("constant", "parameter") else ()
                rest = inner if opcode == "parameter" else after
                current[name] = Instruction(name, kind, opcode, operands, rest, line.lstrip().startswith("ROOT"))
    if not entry:
        raise ValueError("no ENTRY computation: is this the text of a compiled HLO module?")
    return computations, entry


def _split(rest: str) -> tuple[str, str]:
    """What stands in the parentheses of an instruction, and what follows."""
    depth = 1
    for i, c in enumerate(rest):
        depth += (c == "(") - (c == ")")
        if depth == 0:
            return rest[:i], rest[i + 1 :]
    return rest, ""


def elements(kind: str) -> int:
    """Numbers in an array type, or in all arrays of a tuple type."""
    return sum(math.prod(int(d) for d in dims.split(",") if d) for _, dims in _ARRAY.findall(kind))


def size(kind: str) -> int:
    """Bytes of a type."""
    return sum(_BYTES.get(t, 4) * math.prod(int(d) for d in dims.split(",") if d) for t, dims in _ARRAY.findall(kind))


def _called(instruction: Instruction, attribute: str) -> list[str]:
    """The computations that an attribute names, `body=%name` or `branch_computations={%name, %name}`."""
    found = re.search(rf"\b{attribute}=(?:\{{([^}}]*)\}}|([%\w.\-]+))", instruction.rest)
    return re.findall(r"[\w.\-]+", found.group(1) or found.group(2)) if found else []


class _Counter:
    def __init__(self, computations):
        self.computations = computations
        self.launches, self.bytes, self.operations = 0.0, 0.0, 0.0
        self.by_kind: dict[str, float] = {}
        self.loops: list[list] = []
        self.unknown = 0

    def walk(self, name: str, times: float):
        for instruction in self.computations[name].values():
            op = instruction.opcode
            if op in _FREE:
                continue
            if op == "while":
                self._loop(instruction, times)
            elif op in ("call", "async-start"):
                for called in _called(instruction, "to_apply") or _called(instruction, "calls"):
                    self.walk(called, times)
            elif op == "conditional":
                self._branches(instruction, times)
            else:
                self._launch(name, instruction, times)

    def _loop(self, instruction, times):
        trips = re.search(r'known_trip_count":\{"n":"(\d+)"', instruction.rest)
        n = int(trips.group(1)) if trips else 1
        self.unknown += not trips
        before = self.launches
        self.walk(_called(instruction, "body")[0], times * n)
        if not trips:  # a condition on the device runs beside each pass
            self.walk(_called(instruction, "condition")[0], times)
        self.loops.append([instruction.name, n, times, (self.launches - before) / (times * n)])

    def _branches(self, instruction, times):
        """The dearest branch."""
        names = _called(instruction, "branch_computations")
        names = names or [_called(instruction, f"{which}_computation")[0] for which in ("true", "false")]
        trials = []
        for name in names:
            trial = _Counter(self.computations)
            trial.walk(name, times)
            trials.append(trial)
        best = max(trials, key=lambda trial: trial.launches)
        self.launches, self.bytes = self.launches + best.launches, self.bytes + best.bytes
        self.operations += best.operations
        for kind, number in best.by_kind.items():
            self.by_kind[kind] = self.by_kind.get(kind, 0.0) + number

    def _launch(self, computation, instruction, times):
        self.launches += times
        self.by_kind[instruction.opcode] = self.by_kind.get(instruction.opcode, 0.0) + times
        moved, operations = self._cost(computation, instruction)
        self.bytes += times * moved
        self.operations += times * operations

    def _cost(self, computation, instruction) -> tuple[float, float]:
        """Bytes and operations of one launch."""
        here = self.computations[computation]
        if instruction.opcode != "fusion":
            sources = [here[o].type for o in instruction.operands if o in here]
            if instruction.opcode in _SLICES:
                return 2.0 * size(instruction.type), 0.0
            if instruction.opcode == "dynamic-update-slice":
                return 2.0 * size(sources[1]), 0.0
            return size(instruction.type) + sum(map(size, sources)), _operations(instruction, here)
        inside = self.computations[_called(instruction, "calls")[0]]
        return _fusion_bytes(inside), sum(_operations(i, inside) for i in inside.values())


def _operations(instruction: Instruction, here: dict[str, Instruction]) -> float:
    op = instruction.opcode
    if op in _ARITHMETIC:
        return elements(instruction.type)
    if op in ("reduce", "reduce-window"):
        return elements(here[instruction.operands[0]].type)
    if op == "dot":
        contracted = re.search(r"lhs_contracting_dims=\{([\d,]*)\}", instruction.rest)
        dims = [int(d) for d in _ARRAY.findall(here[instruction.operands[0]].type)[0][1].split(",") if d]
        inner = math.prod(dims[int(i)] for i in contracted.group(1).split(",") if i) if contracted else 1
        return 2.0 * elements(instruction.type) * inner
    return 0.0


def _fusion_bytes(inside: dict[str, Instruction]) -> float:
    """Bytes that a fused computation reads and writes."""
    users: dict[str, list[tuple[Instruction, int]]] = {}
    for instruction in inside.values():
        for position, operand in enumerate(instruction.operands):
            users.setdefault(operand, []).append((instruction, position))
    total = 0.0
    for instruction in inside.values():
        if instruction.opcode == "parameter":
            total += _read(instruction, users)
        if instruction.is_root:
            roots = [inside[o] for o in instruction.operands] if instruction.opcode == "tuple" else [instruction]
            for root in roots:
                in_place = root.opcode == "dynamic-update-slice"
                total += size(inside[root.operands[1]].type if in_place else root.type)
    return total


def _read(parameter: Instruction, users) -> float:
    """Bytes read of a parameter: only the slices where it is only sliced, nothing where it is updated in place."""
    read = 0.0
    for user, position in users.get(parameter.name, []):
        if user.opcode in _SLICES and position == 0:
            read += size(user.type)
        elif not (user.opcode == "dynamic-update-slice" and position == 0):
            return size(parameter.type)
    return min(read, size(parameter.type))


def count(text: str) -> dict:
    """Launches, their kinds, bytes and operations of an HLO module's text, and its loops.

    loops: [name, passes, how often it is entered, launches in each pass]; unknown_loops: loops without a known number
    of passes, which count once.
    """
    computations, entry = parse(text)
    counter = _Counter(computations)
    counter.walk(entry, 1.0)
    return {
        "launches": counter.launches,
        "by_kind": dict(sorted(counter.by_kind.items(), key=lambda item: -item[1])),
        "bytes": counter.bytes,
        "operations": counter.operations,
        "loops": sorted(counter.loops, key=lambda loop: -loop[1] * loop[2] * loop[3])[:10],
        "unknown_loops": counter.unknown,
    }


if __name__ == "__main__":
    print(json.dumps(count(Path(sys.argv[1]).read_text()), indent=1))
