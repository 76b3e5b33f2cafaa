package gitsync

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestFailureTable_eachRowHasItsTests names, for each way in which Git, a tree, the cluster or this process can fail, the tests
// that hold what happens then. It fails for a test that is not there.
func TestFailureTable_eachRowHasItsTests(t *testing.T) {
	t.Parallel()
	there := testsBelow(t, ".", "../test/gitserver", "../test/hostile", "../standalone/e2e")
	for _, row := range []struct{ what, tests string }{
		{"no such host, refused, 5xx, reset", "TestFetch_failuresHaveReasons TestFetch_faultsOfTheServer TestSource_gitTroubleChangesNothing TestFetch_cutTwiceInARow TestSource_cutTwiceInARow"},
		{"slow, endless, stalls", "TestFetch_failureTable TestFetch_silentSSHServerEndsWithTheDeadline TestFetch_aSilentRemoteHoldsUpNobodyElse"},
		{"drift is repaired while the remote is down", "TestDrift_isRepairedWithoutGit"},
		{"401, 403, key refused", "TestFetch_failuresHaveReasons TestFetch_identitiesOverSSH TestSource_missingSecretIsAProblem"},
		{"certificates, host keys", "TestFetch_tlsByOwnAuthorityAndClientCertificate TestFetch_hostKeysOverSSH TestKnownHosts_vectors"},
		{"no credential is told", "TestSecrets_areNeverShown TestSecrets_ofSigningAreNeverShown TestSecrets_ofForgesAreNeverShown TestCanaries_areFound TestConceal_table"},
		{"looked at again after five minutes", "TestClock_looksAndBackoff TestBackoff_table"},
		{"redirects, forbidden addresses", "TestFetch_failuresHaveReasons TestFetch_deniedTargetsAreNotAskedOfAProxy"},
		{"ref, path or objects gone", "TestSource_whatIsGoneIsNotPruned TestFetch_everyRefByEveryWay TestRender_refusesAPathThatIsNotThere"},
		{"rewritten history, moved tags", "TestFetch_rewrittenHistoryHolds TestFetch_rewritesByKindOfRef TestSource_movedTagHolds TestSource_isReadyAgainWhenTheBranchComesBack"},
		{"corrupt packs", "TestFetch_corruptPacksAreFetchedOnceMore TestCheckPack_depthOfDeltas TestResolve_basesAnywhereOrNowhere"},
		{"hostile packs and trees", "TestHostileTrees_areRefusedAndTouchNothing TestLimits_holdAtTheLimitAndNotBeyond"},
		{"full disk, large repositories", "TestFetch_aFullDiskDropsIdleRepositories TestFetch_repositoryThatIsTooLargeIsFetchedAnewThenRefused TestFetch_cacheDropsWhatWasIdleForLongest"},
		{"servers that insist on multi_ack", "TestFetch_serversThatInsistOnMultiAck TestFetch_speaksVersionZeroToo"},
		{"bad signatures", "TestSource_verifiesSignatures TestCommit_forged TestTag_forged TestFetch_signaturesComeBeforeDescent"},
		{"kustomize errors, panics, time", "TestPast_aBuildThatTakesTooLongIsGivenUp TestSource_remoteBaseFailsTheBuild TestRender_goldens"},
		{"killed twice by one build", "TestPast_aBuildThatKillsTheProcessTwiceIsNotTriedAgain"},
		{"one bad object", "TestSource_invalidFileHoldsOnlyItsUnit TestSource_oneBadValueAmongMany TestPlan_holdsTheWholeUnitAndNothingElse"},
		{"a newer commit that does not build, or holds a unit", "TestPreemption_noUnitStaysHalfApplied"},
		{"rights, policy, admission", "TestSource_withoutIdentityAppliesNothing TestTenants_aRepositoryReachesItsNamespaceOnly TestApply_refusalsHaveCodes TestApply_refusalHoldsTheWholeUnitOnly"},
		{"429, 5xx, lost answers while applying", "TestSource_troubleOfTheServerIsTriedAgain"},
		{"a crash between any two effects", "TestHistory_noCrashLosesAnObject TestInventory_settlesOnlyWhatCarriesOurLabels"},
		{"late writes of another process", "TestSession_lateWriteDoesNotBringBackWhatWasDeleted TestSession_versionThatMovedUnderAMetadataPatchIsAConflict TestPrune_onlyTheObjectThatWasSeen"},
		{"definitions removed under us", "TestSource_definitionRemovedUnderUs"},
		{"pushes refused", "TestRevert_startsOverThreeTimes TestLastGood_refusedPushLeavesTheSourceReady"},
		{"what pruning must not remove", "TestPrune_isWhatTheModelSays TestPrune_removesNothingOfOthersOverAnyHistory TestProtected_isWhatTheModelSays TestPrune_missingProofNeverDeletes TestPrune_afterThePromotion TestPrune_adoptedStays TestPrune_aboveTheLimitWaitsForItsCommitToBeAccepted TestPrune_orphansOfALostInventoryAreNamed"},
		{"a cluster that is built anew", "TestLastGood_isKeptInTheRepositoryAndBootstrapsANewCluster TestBootstrap_isNotForgotten TestBootstrap_withoutARefTheTipIsAdopted TestBootstrap_aBadTipIsJudgedLikeAnyPush"},
		{"a version that is still what Git says after it was rolled back", "TestRevert_aRejectedVersionLeavesGit TestRevert_whyItIsNotMade TestRevert_threeADay"},
	} {
		for name := range strings.FieldsSeq(row.tests) {
			if !there[name] {
				t.Errorf("%s: there is no test %s", row.what, name)
			}
		}
	}
}

// testsBelow gives the names of all tests in directories.
func testsBelow(t *testing.T, dirs ...string) map[string]bool {
	t.Helper()
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	out := map[string]bool{}
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			for _, m := range declared.FindAllSubmatch(text, -1) {
				out[string(m[1])] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}
