package stats

// midPMcNemar is McNemar's test of two classifiers on the same pictures: the first alone is right on b of them, the second
// alone on c; the others say nothing. If both are right equally often, b has the binomial distribution of b + c trials at
// 1/2. It gives one-sided p values: of "the first is right no more often" (greater) and "no less often" (less).
//
// Of what is equally extreme half is counted, by which p values keep close to alpha where the exact ones stay far below (M.
// W. Fagerland, S. Lydersen and P. Laake, "The McNemar test for binary matched-pairs data: mid-p and asymptotic are better
// than exact conditional", BMC Med. Res. Methodol. 13 (2013), 91). Without discordant pictures both p values are 1.
func midPMcNemar(b, c int) (greater, less float64) {
	if b+c == 0 {
		return 1, 1
	}
	tie := binomial(b, b+c, 0.5)
	return upperBinomial(b, b+c, 0.5) - tie/2, upperBinomial(c, b+c, 0.5) - tie/2
}
