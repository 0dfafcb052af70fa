# SPDX-License-Identifier: MIT
# Two detectors of blood cells, trained on a processor: 364 micrographs of 640x480 with red cells,
# white cells and platelets (BCCD, in the form of Pascal VOC).
#
#   make -f scripts/recipes/bccd.mk BCCD=DIR [BCCD_OUT=DIR] [QD=DIR/] [N=COUNT] [TARGET]
#
#   bccd-tiny     yolov3-tiny at 288x288, from random weights (the default)
#   bccd-fastest  yolo-fastest-1.1 at 416x416, from the layers of the published detector before its
#                 heads: FASTEST_CFG and FASTEST_WEIGHTS name its files
#   bccd-clean    removes what these wrote
#
# QD is the folder of the commands, N another number of iterations.  A run that was interrupted goes
# on when make is called again.
HERE := $(dir $(lastword $(MAKEFILE_LIST)))
QD ?= $(dir $(wildcard $(HERE)../../build/bin/qd-train))
CFG ?= $(dir $(firstword $(wildcard $(addsuffix cfg/yolov3-tiny.cfg,$(HERE)../ $(HERE)../../))))
BCCD_OUT ?= build/bccd
BCCD ?= ../shared/data/bccd
FASTEST_CFG ?= ../shared/data/models/yolo-fastest-1.1.cfg
FASTEST_WEIGHTS ?= $(FASTEST_CFG:.cfg=.weights)
BCCD_TRAIN = $(QD)qd-train -q -r -d $< -x voc12 -C 1000 -O adamw -N 0.95 -m 0 -s 1
BCCD_RATE = -D net.policy=poly -D net.power=1
BCCD_ANCHORS = -D "yolo.anchors=$$(sed -n 's/^anchors=//p' $(BCCD_OUT)/$1.anchors)"
BCCD_SCORE = $(QD)qd-map -q -r voc12 -c $(BCCD_OUT)/$1.cfg -w $(BCCD_OUT)/$1.weights \
  -d $(BCCD_OUT)/set/set.data $(BCCD_SIZE)

.PHONY: bccd-tiny bccd-fastest bccd-clean
bccd-tiny: $(BCCD_OUT)/tiny.map
	cat $<
bccd-fastest: $(BCCD_OUT)/fastest.map
	cat $<

# The two boxes without an area are left out, and reported.
$(BCCD_OUT)/set/set.data:
	mkdir -p $(BCCD_OUT)
	$(QD)qd-import -f -o $(BCCD_OUT)/set voc $(BCCD)

$(BCCD_OUT)/tiny.anchors: $(BCCD_OUT)/set/set.data
	$(QD)qd-anchors -q -d $< -n 6 -i 288 >$@.new && mv $@.new $@
$(BCCD_OUT)/fastest.anchors: $(BCCD_OUT)/set/set.data
	$(QD)qd-anchors -q -d $< -n 6 -i 416 >$@.new && mv $@.new $@

$(BCCD_OUT)/tiny.weights: $(BCCD_OUT)/set/set.data $(BCCD_OUT)/tiny.anchors
	$(BCCD_TRAIN) -o $(BCCD_OUT)/tiny -c $(CFG)yolov3-tiny.cfg -i 288 -b 8 \
	  -n $(or $(N),5000) -E 500 -M 0.998 -l ultralytics -D net.learning_rate=0.002 -D net.burn_in=50 \
	  $(BCCD_RATE) -D yolo.classes=3 -D 15.filters=24 -D 22.filters=24 \
	  $(call BCCD_ANCHORS,tiny)

$(BCCD_OUT)/fastest.weights: $(BCCD_OUT)/set/set.data $(BCCD_OUT)/fastest.anchors
	$(BCCD_TRAIN) -o $(BCCD_OUT)/fastest -c $(FASTEST_CFG) -w $(FASTEST_WEIGHTS) -p 120 -i 416 \
	  -b 16 -n $(or $(N),3000) -E 500 -M 0.998 -l ultralytics -D net.learning_rate=0.002 \
	  -D net.burn_in=50 $(BCCD_RATE) -D yolo.classes=3 -D 120.filters=24 -D 129.filters=24 \
	  -D yolo.jitter=0.3 $(call BCCD_ANCHORS,fastest)

# Random crops make things look larger than they are, so that a net that learned at one size does
# best at a slightly larger one (Touvron and others 2019, arXiv 1906.06423).
$(BCCD_OUT)/fastest.map: BCCD_SIZE = -i 448
$(BCCD_OUT)/%.map: $(BCCD_OUT)/%.weights
	$(call BCCD_SCORE,$*) >$@.new && mv $@.new $@

bccd-clean:
	rm -rf $(BCCD_OUT)/set $(BCCD_OUT)/tiny* $(BCCD_OUT)/fastest*
