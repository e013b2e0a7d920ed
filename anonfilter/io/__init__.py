"""Video in and out: PyAV for containers, codecs and libavfilter."""
