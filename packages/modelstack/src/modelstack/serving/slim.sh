#!/bin/sh
# Takes what serving never loads out of a folder of installed libraries, a third of it: each instance that starts pulls the
# whole image.
#
#   sh slim.sh /opt/venv/lib/python3.11/site-packages
set -eu
cd "$1"
rm -f onnxruntime/capi/libonnxruntime.so.*  # for programs in C; Python's own module holds all of it once more
rm -rf onnxruntime/backend onnxruntime/datasets onnxruntime/quantization onnxruntime/tools onnxruntime/transformers
rm -rf numpy/distutils numpy/f2py
find numpy -type d -name tests -prune -exec rm -r {} +
find numpy uvloop -type f \( -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.h' -o -name '*.a' \) -delete
