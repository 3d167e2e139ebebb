/* All kernels, one compilation. */
#include "adamw.c"
#include "attention.c"
#include "attention_backward.c"
#include "cross_entropy.c"
#include "elementwise.c"
#include "embedding.c"
#include "linear.c"
#include "norms.c"
