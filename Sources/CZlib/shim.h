// zlib's reader of gzip files, for texts that come compressed.
#ifndef CZLIB_SHIM_H
#define CZLIB_SHIM_H

#include <zlib.h>

#endif
