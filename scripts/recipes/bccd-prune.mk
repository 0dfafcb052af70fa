# SPDX-License-Identifier: MIT
# Pruned detectors of blood cells: yolov3-tiny and a residual net, yolov3 with a quarter of the
# channels, are trained as in bccd.mk, trained sparsely, pruned by the rules and trained once more.
#
#   make -f scripts/recipes/bccd-prune.mk BCCD=DIR [BCCD_OUT=DIR] [QD=DIR/] [N=COUNT] [TARGET]
#
#   prune-tiny     normal, regular, group on yolov3-tiny (the default)
#   prune-quarter  normal, regular, shortcut, slim, layer, layer-channel on the residual net
#   NET-RULE.row   one of them, in BCCD_OUT
#   prune-clean    removes what these wrote
#
# A row is: net, rule, trained parameters, multiply-adds and milliseconds before and after, mAP of
# the sparse net, of the pruned one, and after the training that follows.  RESULTS.md has what came
# out.
.DEFAULT_GOAL := prune-tiny
include $(dir $(lastword $(MAKEFILE_LIST)))bccd.mk
B = $(BCCD_OUT)
SET = $B/set/set.data
MORE = -q -r -d $(SET) -x voc12 -C 1000 -O adamw -N 0.95 -M 0.998 -m 0 -l ultralytics -b 8 \
  -D net.burn_in=20 $(BCCD_RATE)

TINY = tiny-normal tiny-regular tiny-group
QUARTER = quarter-normal quarter-regular quarter-shortcut quarter-slim quarter-layer \
  quarter-layer-channel
# What each rule is asked for.  Widths that are multiples of 4 cost no time: 13 channels take the
# kernels as long as 16.
tiny-normal = -p 0.65
tiny-regular = -p 0.65 -b 8
tiny-group = -g 0-8:0.5,10-14:0.8,18-21:0.5
quarter-normal = -p 0.5
quarter-regular = -p 0.55 -b 8
quarter-shortcut = -p 0.6 -b 4
quarter-slim = -p 0.73 -b 4
quarter-layer = -n 8
quarter-layer-channel = -p 0.73 -n 12

.SECONDARY:
.PHONY: prune-tiny prune-quarter prune-clean
prune-tiny: $(TINY:%=$B/%.row)
	cat $^
prune-quarter: $(QUARTER:%=$B/%.row)
	cat $^

$B/quarter.anchors: $(SET)
	$(QD)qd-anchors -q -d $< -n 9 -i 288 >$@.new && mv $@.new $@
$B/quarter.weights: $(SET) $B/quarter.anchors
	$(BCCD_TRAIN) -o $B/quarter -c $(CFG)yolov3-quarter.cfg -i 288 -b 8 -n $(or $(N),4000) -E 500 \
	  -M 0.998 -l ultralytics -D net.learning_rate=0.002 -D net.burn_in=50 $(BCCD_RATE) \
	  -D yolo.classes=3 -D 81.filters=24 -D 93.filters=24 -D 105.filters=24 \
	  $(call BCCD_ANCHORS,quarter)

# A penalty of 0.1 and not the usual 0.001, with which the factors have hardly moved by then: AdamW
# divides a gradient by its own size.
$B/tiny-sparse.weights: $B/tiny.weights
	$(QD)qd-sparse $(MORE) -P normal -s 0.1 -T dynamic -o $B/tiny-sparse -c $B/tiny.cfg -w $< \
	  -n $(or $(N),1500) -E 500 -u 1 -D net.learning_rate=0.002
$B/quarter-sparse.weights: $B/quarter.weights
	$(QD)qd-sparse $(MORE) -P shortcut -s 0.1 -T dynamic -G 0.3 -o $B/quarter-sparse \
	  -c $B/quarter.cfg -w $< -n $(or $(N),1800) -E 600 -u 1 -D net.learning_rate=0.002

# tiny-normal-cut: what the rule 'normal' leaves of tiny-sparse.
define CUT
$(QD)qd-prune-$1 -q -f -c $B/$2-sparse.cfg -w $< -d $(SET) -r voc12 -o $B/$2-$1-cut $($2-$1) \
  >$B/$2-$1.table.new && mv $B/$2-$1.table.new $B/$2-$1.table
endef
$(TINY:%=$B/%-cut.weights): $B/tiny-%-cut.weights: $B/tiny-sparse.weights
	$(call CUT,$*,tiny)
$(QUARTER:%=$B/%-cut.weights): $B/quarter-%-cut.weights: $B/quarter-sparse.weights
	$(call CUT,$*,quarter)

$(addprefix $B/,$(addsuffix .weights,$(TINY) $(QUARTER))): $B/%.weights: $B/%-cut.weights
	$(QD)qd-train $(MORE) -o $B/$* -c $B/$*-cut.cfg -w $< -n $(or $(N),1000) -E 500 -s 1 \
	  -D net.learning_rate=0.001

$B/%.row: $B/%.map
	awk -F '\t' -v net='$*' 'FILENAME ~ /table$$/ { was[$$1] = $$2; is[$$1] = $$3 } \
	  $$1 == "mAP" { tuned = $$2 } \
	  END { printf "%s\t%d\t%d\t%d\t%d\t%.2f\t%.2f\t%.3f\t%.3f\t%.3f\n", net, \
	      was["trained"], is["trained"], was["macs"], is["macs"], was["ms"], is["ms"], \
	      was["mAP"], is["mAP"], tuned }' $B/$*.table $< >$@.new && mv $@.new $@

prune-clean:
	rm -rf $B/set $B/tiny* $B/quarter*
