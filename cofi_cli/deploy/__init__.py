"""Export to ONNX, benchmark, report. Nothing heavy is loaded until a function needs it."""
