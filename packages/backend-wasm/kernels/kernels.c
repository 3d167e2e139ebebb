/* All kernels, one compilation. */
#include "attention.c"
#include "elementwise.c"
#include "linear.c"
#include "norms.c"
