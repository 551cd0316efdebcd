package cpu

// The transforms of Winograd's convolutions in portable Go; gen/winograd.go names their source.
var (
	genericWinograd2 = winogradKernels{
		input:  genericSquare(4, 4, winogradInput2),
		filter: genericSquare(3, 4, winogradFilter2),
		output: genericFinish(4, 2, winogradOutput2),

		gradient: genericSquare(2, 4, winogradGradient2),
		weights:  genericSquare(4, 3, winogradWeights2),
	}
	genericWinograd4 = winogradKernels{
		input:  genericSquare(6, 6, winogradInput4),
		filter: genericSquare(3, 6, winogradFilter4),
		output: genericFinish(6, 4, winogradOutput4),

		gradient: genericSquare(4, 6, winogradGradient4),
		weights:  genericSquare(6, 3, winogradWeights4),
	}
)

// vector6 holds a row or a column of a square.
type vector6 [6]float32

func winogradInput2(x vector6) vector6 {
	return vector6{x[0] - x[2], x[1] + x[2], x[2] - x[1], x[1] - x[3]}
}

func winogradFilter2(x vector6) vector6 {
	e, o := (x[0]+x[2])/2, x[1]/2
	return vector6{x[0], e + o, e - o, x[2]}
}

func winogradOutput2(x vector6) vector6 {
	return vector6{x[0] + x[1] + x[2], x[1] - x[2] - x[3]}
}

func winogradInput4(x vector6) vector6 {
	s, d := x[4]-float32(4*x[2]), x[3]-float32(4*x[1])
	t, u := x[4]-x[2], 2*(x[3]-x[1])
	return vector6{
		float32(4*x[0]) + (x[4] - float32(5*x[2])),
		s + d, s - d,
		t + u, t - u,
		float32(4*x[1]) + (x[5] - float32(5*x[3])),
	}
}

func winogradFilter4(x vector6) vector6 {
	s, o := (x[0]+x[2])*(-1./6), float32(x[1]*(1./6))
	t, u := float32(x[0]*(1./24))+float32(x[2]*(1./6)), float32(x[1]*(1./12))
	return vector6{x[0] / 4, s - o, s + o, t + u, t - u, x[2]}
}

func winogradOutput4(x vector6) vector6 {
	s, d := x[1]+x[2], x[1]-x[2]
	t, u := x[3]+x[4], x[3]-x[4]
	return vector6{x[0] + s + t, d + float32(2*u), s + float32(4*t), d + float32(8*u) + x[5]}
}

func winogradGradient2(x vector6) vector6 {
	return vector6{x[0], (x[0] + x[1]) / 2, (x[0] - x[1]) / 2, x[1]}
}

func winogradWeights2(x vector6) vector6 {
	return vector6{x[0] + (x[1] + x[2]), x[1] - x[2], (x[1] + x[2]) - x[3]}
}

func winogradGradient4(x vector6) vector6 {
	s, d := float32((x[0]+x[2])*(-1./6)), float32((x[1]+x[3])*(1./6))
	t, u := float32(x[0]*(1./24))+float32(x[2]*(1./6)), float32(x[1]*(1./12))+float32(x[3]*(1./3))
	return vector6{x[0] / 4, s - d, s + d, t + u, t - u, x[3]}
}

func winogradWeights4(x vector6) vector6 {
	s, d := x[1]+x[2], x[1]-x[2]
	t, u := x[3]+x[4], x[3]-x[4]
	return vector6{x[0] + s + t, d + float32(2*u), s + float32(4*t) + x[5]}
}

// genericSquare makes of a transform of a column one of squares of in×in to out×out.
func genericSquare(in, out int, apply func(x vector6) vector6) squareFunc {
	return func(src, dst, _ *float32, srcRow, srcColumn, dstRow, dstColumn, channels int) {
		for k := range channels {
			y := squareAt(at(src, k), srcRow, srcColumn, in, out, apply)
			for i := range out {
				for j := range out {
					*at(dst, i*dstRow+j*dstColumn+k) = y[i][j]
				}
			}
		}
	}
}

// genericFinish is genericSquare that ends in what dst holds, bias and bounds.
func genericFinish(in, out int, apply func(x vector6) vector6) finishFunc {
	return func(src, dst, _, bias *float32, srcRow, srcColumn, dstRow, dstColumn, channels int, accumulate bool, lo, hi float32) {
		for k := range channels {
			y := squareAt(at(src, k), srcRow, srcColumn, in, out, apply)
			for i := range out {
				for j := range out {
					v, to := y[i][j], at(dst, i*dstRow+j*dstColumn+k)
					if accumulate {
						v += *to
					}
					if bias != nil {
						v = clamp(v+*at(bias, k), lo, hi)
					}
					*to = v
				}
			}
		}
	}
}

// squareAt transforms one square: its columns, then the rows of what that gives.
func squareAt(src *float32, row, column, in, out int, apply func(x vector6) vector6) (y [6]vector6) {
	var half [6]vector6 // by row
	for j := range in {
		var x vector6
		for i := range in {
			x[i] = *at(src, i*row+j*column)
		}
		x = apply(x)
		for i := range out {
			half[i][j] = x[i]
		}
	}
	for i := range out {
		y[i] = apply(half[i])
	}
	return y
}
