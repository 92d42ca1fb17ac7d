"""Stand-in headers of TensorFlow Lite Micro: just enough for a compiler to check a program's names and types.

The names are those of tensorflow/tflite-micro: `micro_mutable_op_resolver.h`, `micro_interpreter.h`, `system_setup.h`,
`common.h`. The classes were in `tflite`, the C types outside of any namespace; since 2026 both are in `tflite::micro`.
"""

from pathlib import Path

METHODS = """
AddAbs AddAdd AddAddN AddArgMax AddArgMin AddAssignVariable AddAveragePool2D AddBatchMatMul AddBatchToSpaceNd
AddBroadcastArgs AddBroadcastTo AddCallOnce AddCast AddCeil AddConcatenation AddConv2D AddCos AddCumSum AddDepthToSpace
AddDepthwiseConv2D AddDequantize AddDiv AddDynamicUpdateSlice AddEmbeddingLookup AddElu AddEqual AddExp AddExpandDims
AddFill AddFloor AddFloorDiv AddFloorMod AddFullyConnected AddGather AddGatherNd AddGreater AddGreaterEqual AddHardSwish
AddIf AddL2Normalization AddL2Pool2D AddLeakyRelu AddLess AddLessEqual AddLog AddLogicalAnd AddLogicalNot AddLogicalOr
AddLogistic AddLogSoftmax AddMaximum AddMaxPool2D AddMirrorPad AddMean AddMinimum AddMul AddNeg AddNotEqual AddPack
AddPad AddPadV2 AddPrelu AddQuantize AddReadVariable AddReduceAll AddReduceMax AddReduceMin AddRelu AddRelu6 AddReshape
AddResizeBilinear AddResizeNearestNeighbor AddReverseV2 AddRound AddRsqrt AddSelectV2 AddShape AddSin AddSlice
AddSoftmax AddSpaceToBatchNd AddSpaceToDepth AddSplit AddSplitV AddSqueeze AddSqrt AddSquare AddSquaredDifference
AddStridedSlice AddSub AddSum AddSvdf AddTanh AddTransposeConv AddTranspose AddUnpack AddUnidirectionalSequenceLSTM
AddVarHandle AddWhile AddZerosLike
""".split()  # noqa: SIM905  # a table is easier to compare with its source
"""Methods of `MicroMutableOpResolver` that register a builtin op."""

_TYPES = """
typedef enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 } TfLiteStatus;
typedef union TfLitePtrUnion { int32_t* i32; float* f; char* raw; int8_t* int8; int16_t* i16; void* data; }
    TfLitePtrUnion;
typedef struct TfLiteTensor { TfLitePtrUnion data; size_t bytes; } TfLiteTensor;
"""
_RESOLVER = """
class MicroOpResolver {};
template <unsigned int tOpCount>
class MicroMutableOpResolver : public MicroOpResolver {
 public:
  %s
};
"""
_INTERPRETER = """
class MicroResourceVariables; class MicroProfilerInterface;
class MicroInterpreter {
 public:
  MicroInterpreter(const tflite::Model* model, const MicroOpResolver& op_resolver, uint8_t* tensor_arena,
                   size_t tensor_arena_size, MicroResourceVariables* resource_variables = nullptr,
                   MicroProfilerInterface* profiler = nullptr, bool preserve_all_tensors = false);
  TfLiteStatus AllocateTensors();
  TfLiteStatus Invoke();
  TfLiteTensor* input(size_t index);
  size_t inputs_size() const;
  TfLiteTensor* output(size_t index);
  size_t outputs_size() const;
  size_t arena_used_bytes() const;
};
"""
_MODEL = "namespace tflite { struct Model; const Model* GetModel(const void* buf); }\n"


def write_headers(folder: Path, *, nested: bool) -> None:
    """Writes the headers under `folder/tensorflow/lite`, as they were or, nested, as they are since 2026."""
    inside = "tflite::micro" if nested else "tflite"
    methods = "\n  ".join(f"TfLiteStatus {name}();" for name in METHODS)
    types = f"namespace {inside} {{{_TYPES}}}\n" if nested else _TYPES
    old = "" if nested else "namespace tflite { namespace micro { void GetTensorData(); } }\n"
    common = '#pragma once\n#include "tensorflow/lite/c/common.h"\n'
    texts = {
        "c/common.h": f"#pragma once\n#include <cstddef>\n#include <cstdint>\n{types}",
        "schema/schema_generated.h": f"#pragma once\n{_MODEL}",
        "micro/micro_mutable_op_resolver.h": f"{common}namespace {inside} {{{_RESOLVER % methods}}}\n{old}",
        "micro/micro_interpreter.h": (
            f'{common}#include "tensorflow/lite/schema/schema_generated.h"\n'
            '#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"\n'
            f"namespace {inside} {{{_INTERPRETER}}}\n"
        ),
        "micro/system_setup.h": f"#pragma once\nnamespace {inside} {{ void InitializeTarget(); }}\n",
    }
    for name, text in texts.items():
        path = folder / "tensorflow" / "lite" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
