#include <nanobind/nanobind.h>

NB_MODULE(_native, m) { m.def("levels", [] { return 1; }); }
