# Build, install and check websocksy.
#
#   make                      the daemon and its plugins
#   make OUT=build/x ...      the same into another directory (see tests/run.sh)
#   make SANITIZE=address,undefined OUT=build/asan
#   make PLUGINPATH=/abs/dir  the directory compiled in as default for plugins
#   make install DESTDIR= PREFIX=/usr/local

PREFIX ?= /usr/local
OUT ?= .
CC ?= cc
PKG_CONFIG ?= pkg-config

out := $(abspath $(OUT))
obj := $(out)/obj
binary := $(out)/websocksy
plugin_out := $(out)/plugins
libdir := $(PREFIX)/lib/websocksy

# The default plugin directory is absolute: it never depends on where the daemon is started from.
# `make install` builds the copy that it installs with the directory it installs plugins to.
PLUGINPATH ?= $(plugin_out)

libraries := nettle libcares
CFLAGS ?= -O2 -g
warnings := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla
cflags := -std=gnu11 $(warnings) -fvisibility=hidden -fno-strict-aliasing -D_GNU_SOURCE -pthread \
	$(shell $(PKG_CONFIG) --cflags $(libraries)) $(CFLAGS)
ldlibs := $(shell $(PKG_CONFIG) --libs $(libraries)) -ldl $(LDLIBS)
ldflags := -Wl,--export-dynamic -Wl,-z,relro,-z,now $(LDFLAGS)
ifdef SANITIZE
# LOOP_CHECK turns a lost wake-up into an assertion; it costs memory, so only check builds have it.
cflags += -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer -DLOOP_CHECK
ldflags += -fsanitize=$(SANITIZE)
endif
ifdef WERROR
cflags += -Werror
endif

sources := $(wildcard *.c)
objects := $(sources:%.c=$(obj)/%.o)
plugin_sources := $(wildcard plugins/*.c)
plugins := $(plugin_sources:plugins/%.c=$(plugin_out)/%.so)

.PHONY: all plugins clean install uninstall test check format
all: $(binary) plugins
plugins: $(plugins)

$(binary): $(objects)
	$(CC) $(cflags) $(ldflags) -o $@ $(objects) $(ldlibs)

$(obj)/%.o: %.c Makefile | $(obj)
	$(CC) $(cflags) -MMD -MP $(defines) -c -o $@ $<

# The path is part of this object; a change of the path rebuilds it.
$(obj)/config.o: defines = -DWEBSOCKSY_PLUGINPATH='"$(PLUGINPATH)"'
$(obj)/config.o: $(obj)/pluginpath
$(obj)/pluginpath: FORCE | $(obj)
	@printf '%s\n' '$(PLUGINPATH)' | cmp -s - $@ || printf '%s\n' '$(PLUGINPATH)' > $@
.PHONY: FORCE
FORCE:

$(plugin_out)/%.so: plugins/%.c websocksy.h Makefile | $(plugin_out)
	$(CC) $(cflags) -fPIC -shared -I. -o $@ $< $(LDFLAGS)

$(obj) $(plugin_out):
	mkdir -p $@

clean:
	rm -rf $(obj) $(binary) $(plugin_out)/*.so build

-include $(objects:.o=.d)

# Unit tests: one cmocka program per tests/unit/test_*.c, linked with everything but main.
unit_sources := $(wildcard tests/unit/test_*.c)
unit_programs := $(unit_sources:tests/unit/%.c=$(out)/unit/%)
.PHONY: unit
unit: $(unit_programs)
$(out)/unit/%: tests/unit/%.c tests/unit/support.h $(filter-out $(obj)/websocksy.o,$(objects)) | $(out)/unit
	$(CC) $(cflags) -MMD -MP -I. -Itests/unit $(ldflags) -o $@ $< \
		$(filter-out $(obj)/websocksy.o,$(objects)) $(ldlibs) -lcmocka
$(out)/unit:
	mkdir -p $@
-include $(unit_programs:=.d)
