# SPDX-License-Identifier: MIT
"""usage: opencv.py CFG WEIGHTS PICTURE FOUND THRESH

Run a darknet model in OpenCV's importer on a picture of the net's size, and compare its boxes above
THRESH with FOUND, which qd-detect wrote with -n 1.  Prints how many there are, and the largest
differences of a score and of a coordinate in pixels.  Exit status 77: there is no OpenCV.
"""
import sys

try:
    import cv2
    import numpy as np
except ImportError:
    sys.exit(77)

cfg, weights, picture, found, thresh = sys.argv[1:]
net = cv2.dnn.readNetFromDarknet(cfg, weights)
net.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
net.setPreferableTarget(cv2.dnn.DNN_TARGET_CPU)
img = cv2.imread(picture)
h, w = img.shape[:2]
net.setInput(cv2.dnn.blobFromImage(img, 1 / 255, (w, h), swapRB=True, crop=False))
theirs = []
for rows in net.forward(net.getUnconnectedOutLayersNames()):
    for x, y, bw, bh, _, *scores in rows.reshape(-1, rows.shape[-1]):
        for c in np.flatnonzero(np.array(scores) > float(thresh)):
            theirs.append((c, scores[c], (x - bw / 2) * w, (y - bh / 2) * h, bw * w, bh * h))
theirs = np.array(theirs).reshape(-1, 6)
ours = []
with open(found, encoding='utf-8') as f:
    for line in f:
        if not line.startswith('#'):
            word = line.rstrip('\n').split('\t')
            ours.append([float(word[1])] + [float(x) for x in word[3:8]])
ours = np.array(ours).reshape(-1, 6)
if len(ours) != len(theirs):
    sys.exit(f'{len(ours)} boxes against {len(theirs)}')
score = pixels = 0
for row in ours:
    far = np.abs(theirs - row) + (theirs[:, :1] != row[0]) * 1e6
    k = far.sum(1).argmin()
    score, pixels = max(score, far[k, 1]), max(pixels, far[k, 2:].max())
print(len(ours), f'{score:.6f} {pixels:.6f}')
