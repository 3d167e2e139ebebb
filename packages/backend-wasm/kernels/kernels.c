/* All kernels, one compilation. */
#include "attention.c"
#include "attention_backward.c"
#include "elementwise.c"
#include "linear.c"
#include "norms.c"
