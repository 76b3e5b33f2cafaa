// Package render turns the files of a tree into Kubernetes objects: plain YAML, or kustomize where the directory
// holds a kustomization file.
//
// It reads nothing but the tree it is given and runs no program. Before kustomize is called, a scan of every
// kustomization that the build would visit refuses remote locations, paths that leave the tree, fields that run
// something and cycles; then only the files that the scan has named are put into memory for kustomize to see. The
// cost of aliases is counted before any other parser reads a file. gitsync/controller and the linter call it:
//
//	renderer := render.New(render.Limits{})
//	build, err := renderer.Render(ctx, tree, gitsync.Options{Path: "prod", Namespace: "shop"})
//
// What is wrong with the files is in the Build as Problems with file, line and column. kustomize keeps state in
// global variables, so a process has one Renderer.
package render
