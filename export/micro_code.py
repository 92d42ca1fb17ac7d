"""C++ beside a file for microcontrollers: the file as an array, the ops to register, a program that runs it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from export.micro_ops import count_ops, resolver_lines
from export.micro_runtime import MicroPort, ports_of

_BYTES_A_LINE = 20
_C_TYPES = {"float32": "float", "bool": "bool", "int8": "int8_t", "int16": "int16_t", "int32": "int32_t"}
_C_TYPES["int64"] = "int64_t"
_RESET = """\
  for (size_t i = 0; i < interpreter.inputs_size(); ++i)  // $why
    std::memset(interpreter.input(i)->data.data, 0, interpreter.input(i)->bytes);
"""
_CARRY = """\
  for (const auto& state : $space::kStates)  // the next step goes on from here
    std::memcpy(interpreter.input(state[0])->data.data, interpreter.output(state[1])->data.data,
                interpreter.input(state[0])->bytes);
"""
# The runtime's classes were in tflite, and are in tflite::micro since 2026; a program that looks in both has both.
_BOTH = """\
namespace tflite::micro {}
"""
_RUNS = "// Runs {}.tflite once."
_MAIN = Template("""\
$runs Build it with $array and TensorFlow Lite Micro.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "$stem.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/system_setup.h"
#include "tensorflow/lite/schema/schema_generated.h"

using namespace tflite;
using namespace tflite::micro;
alignas(16) static uint8_t tensorArena[$space::kArenaBytes];

int main() {
  InitializeTarget();
  $space::Resolver resolver;
  if ($space::RegisterOps(resolver) != kTfLiteOk) return 1;
  MicroInterpreter interpreter(GetModel($space::kData), resolver, tensorArena, sizeof(tensorArena));
  if (interpreter.AllocateTensors() != kTfLiteOk) return 1;
  std::printf("arena: %u of %u bytes\\n", unsigned(interpreter.arena_used_bytes()), unsigned(sizeof(tensorArena)));
$reset
  auto* x = static_cast<$x_type*>(interpreter.input($x_place)->data.data);
  for (int i = 0; i < $x_size; ++i) {
    const float sample = 0.0f;  // your next sample
    x[i] = static_cast<$x_type>($sample);
  }
  if (interpreter.Invoke() != kTfLiteOk) return 1;

  const auto* y = static_cast<const $y_type*>(interpreter.output($y_place)->data.data);
  for (int i = 0; i < $y_size; ++i) std::printf("%g\\n", double($value));
$carry  return 0;
}
""")


def write_code(
    artifact: Path, arena: int | None, states: Mapping[str, Any] | None = None, folder: Path | None = None
) -> list[Path]:
    """Writes `model.h`, `model.cc` and `main.cc` beside `model.tflite`; of `main.tflite` the array is `main_data.cc`.

    Where `main.cc` is taken, by another model's program or the user's own, the program is `model_main.cc`.

    Args:
        artifact: The `.tflite` file.
        arena: The bytes of arena that were measured; None where the micro runtime is not installed.
        states: Of a step model, its states' values before the first step, by name.
        folder: Where the files are to stand in the end; None: where they are written.

    Returns:
        The files.
    """
    content, stem, states = artifact.read_bytes(), artifact.stem, states or {}
    array = "main_data.cc" if stem == "main" else f"{stem}.cc"
    texts = {
        f"{stem}.h": _header(content, stem, arena, states),
        array: _array(content, stem),
        _program_name(folder or artifact.parent, stem): _program(content, stem, array, states),
    }
    files = {artifact.with_name(name): text for name, text in texts.items()}
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
    return list(files)


def _program_name(folder: Path, stem: str) -> str:
    there = folder / "main.cc"
    free = not there.exists() or there.read_text(encoding="utf-8", errors="replace").startswith(_RUNS.format(stem))
    return "main.cc" if free else f"{stem}_main.cc"


def _namespace(stem: str) -> str:
    """`index_model`: with the suffix, no file's name is a word of C++, or of the headers that the program includes."""
    name = re.sub(r"\W", "_", f"_{stem}" if stem[:1].isdigit() else stem, flags=re.ASCII)
    return f"{name}_model"


def _array(content: bytes, stem: str) -> str:
    rows = (content[at : at + _BYTES_A_LINE] for at in range(0, len(content), _BYTES_A_LINE))
    body = "\n".join("    " + ",".join(map(str, row)) + "," for row in rows)
    return (
        f'#include "{stem}.h"\n\nnamespace {_namespace(stem)} {{\n'
        f"alignas(16) const unsigned char kData[] = {{\n{body}\n}};\n}}  // namespace {_namespace(stem)}\n"
    )


def _header(content: bytes, stem: str, arena: int | None, states: Mapping[str, Any]) -> str:
    space = _namespace(stem)
    ops = list(count_ops(content))
    inputs, outputs = ports_of(content)
    if arena is None:
        room = f"constexpr int kArenaBytes = {_guess(content)};  // not measured; cut it down on the device"
    else:  # alignment, and pointers of another size, move it a little
        room = (
            f"constexpr int kArenaBytes = {-(-(arena + arena // 20) // 16) * 16};  // {arena} measured on a PC, + 5 %"
        )
    register = "\n".join(f"  if ({line} != kTfLiteOk) return kTfLiteError;" for line in resolver_lines(ops))
    places = {port.name: place for place, port in enumerate(outputs)}
    pairs = ", ".join(f"{{{i}, {places[port.name]}}}" for i, port in enumerate(inputs) if port.name in states)
    carried = (
        f"// A step's states: (input, output); copy each output into its input before the next call.\n"
        f"constexpr int kStates[][2] = {{{pairs}}};\n"
        if pairs
        else ""
    )
    return f"""#pragma once

#include <cstdint>

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"

{_BOTH}
namespace {space} {{
using namespace tflite;
using namespace tflite::micro;
extern const unsigned char kData[];
constexpr unsigned int kBytes = {len(content)};
{room}
{"".join(f"{line}{chr(10)}" for line in _ports("input", inputs))}{
        "".join(f"{line}{chr(10)}" for line in _ports("output", outputs))
    }{carried}
using Resolver = MicroMutableOpResolver<{len(ops)}>;
inline TfLiteStatus RegisterOps(Resolver& resolver) {{
{register}
  return kTfLiteOk;
}}
}}  // namespace {space}
"""


def _ports(kind: str, ports: Sequence[MicroPort]) -> Iterator[str]:
    for place, port in enumerate(ports):
        shape = " x ".join(map(str, port.shape)) or "one"
        scale = f", value = {port.scale:.9g} * (integer - {port.zero_point})" if port.scale else ""
        yield f"// {kind} {place}: {port.name}, {_C_TYPES[port.dtype]}, {shape}{scale}"
        if port.scale:
            name = f"k{kind.title()}{place}"
            yield f"constexpr float {name}Scale = {port.scale!r}f;"
            yield f"constexpr int {name}ZeroPoint = {port.zero_point};"


def _guess(content: bytes) -> int:
    """More than a file of this size should need: its own size again, and room for the bookkeeping."""
    return -(-(len(content) + 16384) // 16) * 16


def _program(content: bytes, stem: str, array: str, states: Mapping[str, Any]) -> str:
    inputs, outputs = ports_of(content)
    space = _namespace(stem)
    # The converter orders inputs by their names, so a state may be the first.
    (i, x), (o, y) = (next((p, q) for p, q in enumerate(ports) if q.name not in states) for ports in (inputs, outputs))
    sample, value = "sample", "y[i]"
    if x.scale:
        limits = np.iinfo(x.dtype)
        scaled = f"std::round(sample / {space}::kInput{i}Scale) + {space}::kInput{i}ZeroPoint"
        sample = f"std::clamp({scaled}, {limits.min}.0f, {limits.max}.0f)"
    if y.scale:
        value = f"(y[i] - {space}::kOutput{o}ZeroPoint) * {space}::kOutput{o}Scale"
    return _MAIN.substitute(
        runs=_RUNS.format(stem),
        stem=stem,
        array=array,
        space=space,
        reset=Template(_RESET).substitute(why=_start(states)) if states else "",
        carry=Template(_CARRY).substitute(space=space) if states else "",
        x_type=_C_TYPES[x.dtype],
        x_place=i,
        x_size=_size(x),
        sample=sample,
        y_type=_C_TYPES[y.dtype],
        y_place=o,
        y_size=_size(y),
        value=value,
    )


def _start(states: Mapping[str, Any]) -> str:
    others = [name for name, initial in states.items() if np.any(initial)]
    if not others:
        return "a stream starts from zeros"
    return f"replace the zeros of {', '.join(others)} by what manifest.json calls initial"


def _size(port: MicroPort) -> int:
    size = 1
    for length in port.shape:
        size *= length
    return size
