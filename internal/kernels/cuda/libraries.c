//go:build gpu

#define _GNU_SOURCE
#include "libraries.h"

#include <dlfcn.h>

/* A pointer to each function, and a call through it. */
#define FUNCTION(library, n, name, ...)             \
	static int (*name##_pointer)(__VA_ARGS__); \
	int call_##name(PARAMS##n(__VA_ARGS__)) { return name##_pointer(NAMES##n); }
FUNCTIONS
#undef FUNCTION

static size_t (*cudnnGetVersion_pointer)(void);
size_t call_cudnnGetVersion(void) { return cudnnGetVersion_pointer(); }

static const char *(*cudnnGetErrorString_pointer)(int);
const char *call_cudnnGetErrorString(int status) { return cudnnGetErrorString_pointer(status); }

static void (*cudnnGetLastErrorString_pointer)(char *, size_t);
void call_cudnnGetLastErrorString(char *text, size_t n) {
	*text = 0;
	if (cudnnGetLastErrorString_pointer) cudnnGetLastErrorString_pointer(text, n);
}

static const struct {
	enum library library;
	const char *name;
	void **pointer;
} functions[] = {
#define FUNCTION(library, n, name, ...) {library, #name, (void **)&name##_pointer},
	FUNCTIONS
#undef FUNCTION
	{CUDNN, "cudnnGetVersion", (void **)&cudnnGetVersion_pointer},
	{CUDNN, "cudnnGetErrorString", (void **)&cudnnGetErrorString_pointer},
};

void *open_library(const char *file, const char **why) {
	void *handle = dlopen(file, RTLD_NOW | RTLD_GLOBAL);
	if (!handle) *why = dlerror();
	return handle;
}

const char *resolve_library(enum library library, void *handle) {
	if (library == CUDNN)
		*(void **)&cudnnGetLastErrorString_pointer = dlsym(handle, "cudnnGetLastErrorString");
	for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
		if (functions[i].library != library) continue;
		*functions[i].pointer = dlsym(handle, functions[i].name);
		if (!*functions[i].pointer) return functions[i].name;
	}
	return NULL;
}
