"""Export to ONNX: choose a graph and a precision, prove the file, write it."""
