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

libraries := gnutls nettle libcares
CFLAGS ?= -O2 -g
warnings := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla
cflags := -std=gnu11 $(warnings) -fvisibility=hidden -fno-strict-aliasing -D_GNU_SOURCE -I. -pthread \
	$(shell $(PKG_CONFIG) --cflags $(libraries)) $(CFLAGS)
ldlibs := $(shell $(PKG_CONFIG) --libs $(libraries)) -lcrypt -ldl $(LDLIBS)
ldflags := -Wl,--export-dynamic -Wl,-z,relro,-z,now $(LDFLAGS)
ifdef SANITIZE
# LOOP_CHECK turns a lost wake-up into an assertion; it costs memory, so only check builds have it.
cflags += -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer -DLOOP_CHECK
ldflags += -fsanitize=$(SANITIZE)
endif
ifdef WERROR
cflags += -Werror
endif

# The layers, lowest first: each may use itself and those before it (tests/layers.py checks that).
layers := base websocket network http plugin service config bridge
base_sources := $(wildcard base/*.c)
websocket_sources := websocket.c $(wildcard websocket/*.c)
network_sources := network.c $(wildcard network/*.c)
http_sources := $(wildcard http/*.c)
plugin_sources := plugin.c builtins.c $(wildcard plugin/*.c)
service_sources := $(wildcard service/*.c)
config_sources := config.c $(wildcard config/*.c)
bridge_sources := $(wildcard bridge/*.c)
sources := $(foreach layer,$(layers),$($(layer)_sources)) websocksy.c
objects := $(sources:%.c=$(obj)/%.o)
plugins := $(patsubst plugins/%.c,$(plugin_out)/%.so,$(wildcard plugins/*.c))

.PHONY: all plugins clean install uninstall test check format
all: $(binary) plugins
plugins: $(plugins)

$(binary): $(objects)
	$(CC) $(cflags) $(ldflags) -o $@ $(objects) $(ldlibs)

$(obj)/%.o: %.c Makefile | $(obj)
	@mkdir -p $(@D)
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

# Unit tests: one cmocka program per file, linked with the layer that it tests and those below, and nothing else.
below :=
define unit_layer
below += $$($(1)_sources:%.c=$$(obj)/%.o)
unit_$(1)_objects := $$(below)
endef
$(foreach layer,$(layers),$(eval $(call unit_layer,$(layer))))
define unit_program
unit_programs += $$(patsubst tests/unit/%.c,$$(out)/unit/%,$$(wildcard tests/unit/$(2).c))
$$(patsubst tests/unit/%.c,$$(out)/unit/%,$$(wildcard tests/unit/$(2).c)): $$(out)/unit/%: tests/unit/%.c \
		$$(unit_$(1)_objects)
	@mkdir -p $$(@D)
	$$(CC) $$(cflags) -MMD -MP -Itests/unit $$(ldflags) -o $$@ $$< $$(unit_$(1)_objects) $$(ldlibs) -lcmocka
endef
$(foreach layer,base websocket network http service config bridge, \
	$(eval $(call unit_program,$(layer),$(layer)/test_*)))
$(eval $(call unit_program,plugin,plugins/test_*))
$(eval $(call unit_program,plugin,test_plugin))
$(eval $(call unit_program,plugin,test_builtins))
$(eval $(call unit_program,config,test_config))
.PHONY: unit
unit: $(unit_programs)
# Library calls that a test makes fail.
$(out)/unit/network/test_tls: ldflags += -Wl,--wrap=gnutls_record_recv,--wrap=gnutls_record_check_pending
$(out)/unit/network/test_listener: ldflags += -Wl,--wrap=accept4,--wrap=getsockname
$(out)/unit/http/test_auth $(out)/unit/network/test_watch: ldflags += -Wl,--wrap=read
$(out)/unit/http/test_web: ldflags += -Wl,--wrap=syscall
-include $(unit_programs:=.d)

# Installing. The installed daemon is linked a second time, with an object that knows the installed plugins;
# the one in the build tree goes on with the plugins beside it. DESTDIR is put in front of every path that is
# written and is known to nothing that is installed. A PLUGINPATH that is given counts here too.
INSTALL ?= install
bindir := $(PREFIX)/bin
includedir := $(PREFIX)/include
mandir := $(PREFIX)/share/man
docdir := $(PREFIX)/share/doc/websocksy
unitdir := $(PREFIX)/lib/systemd/system
plugindir := $(if $(filter file,$(origin PLUGINPATH)),$(libdir),$(PLUGINPATH))

install_obj := $(obj)/install
install_binary := $(install_obj)/websocksy
install_objects := $(filter-out $(obj)/config.o,$(objects)) $(install_obj)/config.o
$(install_binary): $(install_objects)
	$(CC) $(cflags) $(ldflags) -o $@ $(install_objects) $(ldlibs)
$(install_obj)/config.o: config.c Makefile $(install_obj)/pluginpath
	$(CC) $(cflags) -MMD -MP -DWEBSOCKSY_PLUGINPATH='"$(plugindir)"' -c -o $@ $<
$(install_obj)/pluginpath: FORCE | $(install_obj)
	@printf '%s\n' '$(plugindir)' | cmp -s - $@ || printf '%s\n' '$(plugindir)' > $@
$(install_obj): | $(obj)
	mkdir -p $@
-include $(install_obj)/config.d

# What is written for one prefix is rewritten for another. The quick start builds, so it stays in the source tree.
rewrite := sed 's|/usr/local|$(PREFIX)|g'
units := $(wildcard examples/*.service examples/*.socket)
adapted := $(units) $(wildcard examples/*.conf)
scripts := $(filter-out examples/quickstart.sh,$(wildcard examples/*.sh))
texts := README.md LICENSE.txt index.html $(wildcard docs/*.md plugins/*.md examples/*.md examples/*.c) \
	$(shell find examples/routes -type f 2>/dev/null)
installed := $(bindir)/websocksy $(includedir)/websocksy.h $(mandir)/man8/websocksy.8 \
	$(mandir)/man5/websocksy.conf.5 $(plugins:$(plugin_out)/%=$(plugindir)/%) \
	$(units:examples/%=$(unitdir)/%) $(addprefix $(docdir)/,$(texts) $(scripts) $(adapted))

.PHONY: install-paths
install-paths:
	$(if $(filter-out /%,$(PREFIX) $(plugindir)),$(error PREFIX and PLUGINPATH have to be absolute paths))

install: install-paths $(install_binary) plugins
	$(INSTALL) -D -m 755 $(install_binary) '$(DESTDIR)$(bindir)/websocksy'
	$(INSTALL) -D -m 644 websocksy.h '$(DESTDIR)$(includedir)/websocksy.h'
	$(INSTALL) -D -m 644 man/websocksy.8 '$(DESTDIR)$(mandir)/man8/websocksy.8'
	$(INSTALL) -D -m 644 man/websocksy.conf.5 '$(DESTDIR)$(mandir)/man5/websocksy.conf.5'
	$(INSTALL) -d -m 755 '$(DESTDIR)$(plugindir)' '$(DESTDIR)$(unitdir)'
	$(INSTALL) -m 755 $(plugins) '$(DESTDIR)$(plugindir)'
	set -e; for file in $(texts); do \
		$(INSTALL) -D -m 644 "$$file" '$(DESTDIR)$(docdir)/'"$$file"; done
	set -e; for file in $(scripts); do \
		$(INSTALL) -D -m 755 "$$file" '$(DESTDIR)$(docdir)/'"$$file"; done
	set -e; for file in $(adapted); do \
		$(INSTALL) -D -m 644 "$$file" '$(DESTDIR)$(docdir)/'"$$file"; \
		$(rewrite) "$$file" > '$(DESTDIR)$(docdir)/'"$$file"; done
	set -e; for file in $(units); do \
		$(INSTALL) -m 644 '$(DESTDIR)$(docdir)/'"$$file" '$(DESTDIR)$(unitdir)'; done

# Directories of our own go if nothing else is in them: somebody may have put plugins there.
uninstall: install-paths
	rm -f $(installed:%='$(DESTDIR)%')
	-for folder in '$(docdir)/examples/routes/users' '$(docdir)/examples/routes' '$(docdir)/examples' \
		'$(docdir)/docs' '$(docdir)/plugins' '$(docdir)' '$(plugindir)'; do \
		[ ! -d '$(DESTDIR)'"$$folder" ] || \
			rmdir --ignore-fail-on-non-empty '$(DESTDIR)'"$$folder"; done

# Compares with a plain TCP forwarder and other bridges in less than two minutes; the long version:
# bench/run.py without --short. See docs/performance.md.
bench_programs := $(out)/bench/bin
.PHONY: bench
bench: $(binary)
	$(MAKE) -C bench OUT=$(bench_programs) CFLAGS='$(CFLAGS)'
	python3 bench/run.py --short --websocksy $(binary) --programs $(bench_programs)

# Limits of latency and of time in general, on a machine that has nothing else to do. See bench/latency.py.
.PHONY: bench-check
bench-check: $(binary) plugins
	WEBSOCKSY=$(binary) PYTHONPATH=bench:tests/e2e PYTHONDONTWRITEBYTECODE=1 \
		/usr/bin/python3 -m pytest -q -s -p no:cacheprovider -p latency tests/e2e
