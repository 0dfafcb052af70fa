# SPDX-License-Identifier: MIT
# A small residual classifier of CIFAR-10, or a part of it, on a processor.
#
#   make -f scripts/recipes/cifar10.mk CIFAR10=DIR [CIFAR10_OUT=DIR] [QD=DIR/] [N=COUNT]
#
# CIFAR10 holds train/CLASS/*.jpg and test/CLASS/*.jpg.  'make ... cifar10-clean' removes what was
# written; QD is the folder of the commands, N another number of iterations.  A run that was
# interrupted goes on when make is called again.
HERE := $(dir $(lastword $(MAKEFILE_LIST)))
QD ?= $(dir $(wildcard $(HERE)../../build/bin/qd-train))
CFG ?= $(dir $(firstword $(wildcard $(addsuffix cfg/yolov3-tiny.cfg,$(HERE)../ $(HERE)../../))))
CIFAR10_OUT ?= build/cifar10
CIFAR10 ?= ../shared/data/cifar10
N ?= 3500

.PHONY: cifar10 cifar10-clean
cifar10: $(CIFAR10_OUT)/cifar10.top
	cat $<

$(CIFAR10_OUT)/set/set.data:
	mkdir -p $(CIFAR10_OUT)
	$(QD)qd-import -f -o $(CIFAR10_OUT)/set folder $(CIFAR10)

$(CIFAR10_OUT)/cifar10.weights: $(CIFAR10_OUT)/set/set.data
	$(QD)qd-train -q -r -d $< -c $(CFG)cifar-resnet.cfg -o $(CIFAR10_OUT)/cifar10 -O adamw -N 0.95 \
	  -M 0.998 -C 200 -n $(N) -E 500

$(CIFAR10_OUT)/cifar10.top: $(CIFAR10_OUT)/cifar10.weights
	$(QD)qd-classify -q -c $(CIFAR10_OUT)/cifar10.cfg -w $< \
	  -d $(CIFAR10_OUT)/set/set.data >$@.new && mv $@.new $@

cifar10-clean:
	rm -rf $(CIFAR10_OUT)/set $(CIFAR10_OUT)/cifar10*
