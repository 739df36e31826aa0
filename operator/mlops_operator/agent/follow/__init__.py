"""Sources of metrics, read as they grow: files of JSON lines, event files of TensorBoard, the command's output."""
