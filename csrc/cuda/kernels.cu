// All kernels as one unit: what nvcc makes the fatbin of, and NVRTC a cubin.
#include "blur.cu"
#include "letterbox.cu"
#include "paint.cu"
