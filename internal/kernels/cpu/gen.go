package cpu

//go:generate go run -C gen . -pkg cpu -out ../gemm_amd64.s -stubs ../gemm_stubs_amd64.go gemm
//go:generate go run -C gen . -pkg cpu -out ../linear_amd64.s -stubs ../linear_stubs_amd64.go linear
//go:generate go run -C gen . -pkg cpu -out ../depthwise_amd64.s -stubs ../depthwise_stubs_amd64.go depthwise
//go:generate go run -C gen . -pkg cpu -out ../pointwise_amd64.s -stubs ../pointwise_stubs_amd64.go pointwise
//go:generate go run -C gen . -pkg cpu -out ../window_amd64.s -stubs ../window_stubs_amd64.go window
//go:generate go run -C gen . -pkg cpu -out ../winograd_amd64.s -stubs ../winograd_stubs_amd64.go winograd
//go:generate go run -C gen . -pkg cpu -out ../peak_amd64.s -stubs ../peak_stubs_amd64.go peak
