"""Model bundles and the engines that run them: ONNX Runtime, OpenVINO, TensorRT."""
