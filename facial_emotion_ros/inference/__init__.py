"""Model bundles and the inference engines that run them: ONNX Runtime, OpenVINO, TensorRT."""
