/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A library for LD_PRELOAD that counts what the daemon asks of the C library, for test_counts.py.
 *
 * The counters are in the file that COUNTING names, mapped shared, so that the test reads them
 * while the daemon runs. Their order is that of COUNTERS in the test.
 *
 * It sees calls that cross from one object to another: those of the daemon, not those that the C
 * library makes within itself, and not what the compiler expands in place (copies of a few bytes
 * whose number it knows, the vector loop of the unmasking move). The counters whose names begin
 * with OWN are for calls from the program itself, without those of its libraries. The
 * single-threaded daemon needs no atomic counters.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum counter {
	ALLOCATIONS,
	FREES,
	COPIES,
	COPIED_BYTES,
	CLOCKS,
	WAITS,
	OWN_ALLOCATIONS,
	OWN_COPIED_BYTES,
	COUNTERS
};

/* Until the file is mapped, which is after the loader's own first calls. */
static uint64_t early[COUNTERS];
static uint64_t *counts = early;

/* Where the program is. */
static uintptr_t own_begin = UINTPTR_MAX;
static uintptr_t own_end;

#define CALLER ((uintptr_t)__builtin_return_address(0))

/* The allocator's own names in glibc: looking them up would allocate. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *memory);

static void *(*real_memmove)(void *, const void *, size_t);
static int (*real_clock_gettime)(clockid_t, struct timespec *);
static time_t (*real_time)(time_t *);
static int (*real_epoll_wait)(int, struct epoll_event *, int, int);

/* The first object is the program. */
static int find_own(struct dl_phdr_info *object, size_t size, void *unused) {
	(void)size;
	(void)unused;
	for(int i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &object->dlpi_phdr[i];
		uintptr_t at = object->dlpi_addr + part->p_vaddr;
		if(part->p_type == PT_LOAD) {
			own_begin = at < own_begin ? at : own_begin;
			own_end = at + part->p_memsz > own_end ? at + part->p_memsz : own_end;
		}
	}
	return 1;
}

static int is_own(uintptr_t caller) {
	return caller >= own_begin && caller < own_end;
}

static void allocation(uintptr_t caller) {
	counts[ALLOCATIONS]++;
	counts[OWN_ALLOCATIONS] += is_own(caller);
}

__attribute__((constructor)) static void begin(void) {
	dl_iterate_phdr(find_own, NULL);
	real_memmove = (void *(*)(void *, const void *, size_t))dlsym(RTLD_NEXT, "memmove");
	real_clock_gettime =
		(int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	real_time = (time_t(*)(time_t *))dlsym(RTLD_NEXT, "time");
	real_epoll_wait =
		(int (*)(int, struct epoll_event *, int, int))dlsym(RTLD_NEXT, "epoll_wait");
	const char *path = getenv("COUNTING");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	if(fd < 0) {
		return;
	}
	void *memory = mmap(NULL, sizeof(early), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if(memory != MAP_FAILED) {
		counts = memory;
	}
	close(fd);
}

void *malloc(size_t size) {
	allocation(CALLER);
	return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
	allocation(CALLER);
	return __libc_calloc(count, size);
}

void *realloc(void *old, size_t size) {
	allocation(CALLER);
	return __libc_realloc(old, size);
}

void *reallocarray(void *old, size_t count, size_t size) {
	size_t total;
	allocation(CALLER);
	return __builtin_mul_overflow(count, size, &total) ? NULL : __libc_realloc(old, total);
}

void *aligned_alloc(size_t alignment, size_t size) {
	allocation(CALLER);
	return __libc_memalign(alignment, size);
}

void free(void *memory) {
	counts[FREES] += memory ? 1 : 0;
	__libc_free(memory);
}

static void *copy(uintptr_t caller, void *to, const void *from, size_t len) {
	counts[COPIES]++;
	counts[COPIED_BYTES] += len;
	counts[OWN_COPIED_BYTES] += is_own(caller) ? len : 0;
	if(real_memmove) {
		return real_memmove(to, from, len);
	}
	/*
	 * Before the constructor. Volatile keeps the compiler from making it a call of this
	 * function.
	 */
	volatile uint8_t *out = to;
	const uint8_t *in = from;
	for(size_t i = 0; i < len; i++) {
		out[i] = in[i];
	}
	return to;
}

void *memcpy(void *to, const void *from, size_t len) {
	return copy(CALLER, to, from, len);
}

void *memmove(void *to, const void *from, size_t len) {
	return copy(CALLER, to, from, len);
}

void *mempcpy(void *to, const void *from, size_t len) {
	return (uint8_t *)copy(CALLER, to, from, len) + len;
}

int clock_gettime(clockid_t id, struct timespec *now) {
	counts[CLOCKS]++;
	return real_clock_gettime(id, now);
}

time_t time(time_t *now) {
	counts[CLOCKS]++;
	return real_time(now);
}

int epoll_wait(int fd, struct epoll_event *events, int max, int timeout) {
	counts[WAITS]++;
	return real_epoll_wait(fd, events, max, timeout);
}
