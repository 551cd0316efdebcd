// Package data owns pictures: where a data set's pictures lie, what their content hashes to, how a file becomes RGB, how
// RGB becomes a network's input, and the batches that a training loop consumes.
//
//	Config → Open → Dataset{Splits} → NewLoader → Epoch → Batch (float32, NHWC)
//
// What torchvision does with the same folder is what happens here: ImageFolder's classes, extensions and order; Pillow's
// decoding to RGB and its fixed-point resize to the bit; the names, defaults and distributions of torchvision.transforms.
// In particular the orientation in EXIF is not applied, as torchvision's default loader does not apply it.
//
// Nothing depends on the clock, on the number of workers or on the memory given to the cache: the order of an epoch and
// each picture's augmentation are drawn from counters named by (seed, data set, epoch, picture) alone.
package data
