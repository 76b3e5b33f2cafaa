// Package mutants shows that the tests would notice: it holds mistakes that other programs of this kind have made, each as a
// change of a few lines of ours, and the test that turns red when it is made.
//
// The mistakes stand in testdata/*.txt:
//
//	# a version that a proxy has rejected is sent to it again
//	breaks I16
//	seen envoyproxy/go-control-plane#46
//	edit xds/server/conversation.go
//	-	if e.refused != want.version {
//	+	if true {
//	test xds/server TestDelta_duties
//
// Lines behind - are replaced by those behind +; they must stand in the file exactly once. A mistake may take several edits.
// breaks names the invariant that falls (I1 to I25 of test/invariant's list), seen where the same was met in public.
//
// The normal tests look whether every mistake can still be made and its test exists. `make mutants` makes each one, in an
// overlay that only the go command of that one run reads, and wants the test to fail.
package mutants
