# SPDX-License-Identifier: MIT
# scripts/recipes: every step runs on the real data, two iterations long, and a second make goes on.
. "$(dirname "$0")/../lib.sh"

[ -z "${QD_QUICK:-}" ] || skip_all 'QD_QUICK is set'

recipe()
{
    make -s -f "$QD_ROOT/scripts/recipes/$1.mk" QD="$QD_BIN/" N=2 "$2" "$3=$4" "$3_OUT=out" \
        FASTEST_CFG="$QD_SHARED/data/models/yolo-fastest-1.1.cfg"
}

if bccd=$(shared bccd); then
    for net in tiny fastest; do
        status 0 "bccd-$net" recipe bccd bccd-$net BCCD "$bccd"
        stdout_like '^WBC	|	WBC	' "bccd-$net: the score, class by class"
        ok "bccd-$net: weights" test -s out/$net.weights
        ok "bccd-$net: three classes" grep -qx 'classes=3' out/$net.cfg
        cp out/$net.weights whole
        rm out/$net.weights out/$net.map
        status 0 "bccd-$net, again" recipe bccd bccd-$net BCCD "$bccd"
        same_bytes whole out/$net.weights "bccd-$net: the finished run goes on to its end"
    done
    for row in tiny-group quarter-layer-channel; do
        status 0 "$row" recipe bccd-prune "out/$row.row" BCCD "$bccd"
        ok "$row: parameters and multiply-adds fell" awk -F '\t' -v net="$row" \
            'END { exit !(NF == 10 && $1 == net && $3 < $2 && $5 < $4) }' "out/$row.row"
    done
    status 0 'prune-clean' recipe bccd-prune prune-clean BCCD "$bccd"
    status 0 'bccd-clean' recipe bccd bccd-clean BCCD "$bccd"
    ok 'nothing is left' test -z "$(ls out)"
else
    skip 1 'no blood cells'
fi

if cifar=$(shared cifar10); then
    status 0 'cifar10' recipe cifar10 cifar10 CIFAR10 "$cifar"
    stdout_like '^top1	' 'the share that is right'
else
    skip 1 'no CIFAR-10'
fi
finish
