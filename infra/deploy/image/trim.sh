#!/usr/bin/env bash
# trim.sh VENV gpu|cpu: takes out of an installed environment what no node opens. What was found by looking which libraries
# a process had mapped after it had rendered; tests/unit/infra/deploy/test_image.py keeps the patterns true to the lock's
# packages.
#
#   gpu   static libraries, headers and device code that only compilers of CUDA programs read
#   cpu   besides that, what is opened when there is a GPU only: cuDNN behind its door, and Triton. PyTorch's CUDA build
#         links against cuBLAS, cuFFT, NCCL and so on, and does not load without them: they stay.
set -euo pipefail

venv=${1:?the environment}
variant=${2:?gpu or cpu}
case $variant in
gpu | cpu) ;;
*) echo "trim.sh: the variant is gpu or cpu, not '$variant'" >&2; exit 2 ;;
esac
packages=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["platlib"])')
cd "$packages"
before=$(du -sm . | cut -f1)

find . -name '*.a' -delete
rm -rf torch/include nvidia/*/include
rm -f nvidia/nvshmem/lib/*.bc nvidia/cu13/lib/libcusolverMg.so.*
if [ "$variant" = cpu ]; then
    rm -rf triton
    # libcudnn.so.9 itself is linked against; it opens these when there is a GPU
    rm -f nvidia/cudnn/lib/libcudnn_*.so.*
fi

echo "trim.sh: $variant: $before MB before, $(du -sm . | cut -f1) MB now"
"$venv/bin/python" -c 'import torch, torchvision, open_clip, timm; print("torch", torch.__version__, "loads")'
