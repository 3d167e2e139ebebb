/* All kernels, one compilation. */
#include "attention.c"
#include "linear.c"
#include "norms.c"
