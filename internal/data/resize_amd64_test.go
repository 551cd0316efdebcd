package data

// plainly runs do without vector instructions.
func plainly(do func()) {
	defer func(was bool) { useAVX2 = was }(useAVX2)
	useAVX2 = false
	do()
}
