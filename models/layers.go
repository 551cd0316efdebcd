package models

import "github.com/ftrun/ftrun/internal/nn"

// bn is torch's default batch norm.
var bn = nn.BatchNorm2d{Eps: 1e-5, Momentum: 0.1}

// conv is a square convolution without a bias, as it stands before a batch norm.
func conv(out, kernel, stride, padding int) nn.Conv2d {
	return nn.Conv2d{
		Out:     out,
		Kernel:  [2]int{kernel, kernel},
		Stride:  [2]int{stride, stride},
		Padding: [2]int{padding, padding},
	}
}

// convBias is a square convolution with a bias.
func convBias(out, kernel, stride, padding int) nn.Conv2d {
	c := conv(out, kernel, stride, padding)
	c.Bias = true
	return c
}
