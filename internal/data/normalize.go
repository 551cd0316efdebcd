package data

// Normalize holds the statistics of the pictures that weights were trained on, for channels R, G, B in units of the
// range [0, 1].
type Normalize struct{ Mean, Std [3]float32 }

// ImageNet are the statistics of torchvision's classification weights.
var ImageNet = Normalize{Mean: [3]float32{0.485, 0.456, 0.406}, Std: [3]float32{0.229, 0.224, 0.225}}

// normTable holds x = (u/255 − mean)/std for each channel and byte: float32, divided, subtracted, divided in that order,
// as torchvision's ToTensor and Normalize do.
type normTable [3][256]float32

func (n Normalize) table() *normTable {
	var t normTable
	for c := range 3 {
		for u := range 256 {
			x := float32(u) / 255
			x = x - n.Mean[c]
			t[c][u] = x / n.Std[c]
		}
	}
	return &t
}

// apply normalises img (H,W,3) into dst (H,W,3).
func (t *normTable) apply(dst []float32, img *Image) {
	pix := img.Pix
	dst = dst[:len(pix)]
	for i := 0; i+2 < len(pix); i += 3 {
		dst[i], dst[i+1], dst[i+2] = t[0][pix[i]], t[1][pix[i+1]], t[2][pix[i+2]]
	}
}
