// Command testplane is a Kubernetes control plane in one file: etcd, kube-apiserver, kube-controller-manager and
// kube-scheduler, the keys that they need, and kubectl. It is what its first argument says, or its own name.
//
// kube-apiserver cannot be had by `go install`: the replace lines in its go.mod count in a main module only.
// This module is that main module.
package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

const usage = `usage: testplane etcd | kube-apiserver | kube-controller-manager | kube-scheduler | kubectl [ARGUMENT...]
       testplane pki --dir DIR --service-address ADDRESS
`

// Each returns the exit code. The commands read os.Args themselves, with their own name in front.
var commands = map[string]func() int{
	"etcd": func() int {
		etcdmain.Main(os.Args)
		return 0
	},
	"kube-apiserver":          func() int { return cli.Run(apiserver.NewAPIServerCommand()) },
	"kube-controller-manager": func() int { return cli.Run(controllers.NewControllerManagerCommand()) },
	"kube-scheduler":          func() int { return cli.Run(scheduler.NewSchedulerCommand()) },
	"kubectl": func() int {
		if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
			// Prints it as kubectl does, and exits with the code that it has for it.
			util.CheckErr(err)
		}
		return 0
	},
	"pki": func() int {
		if err := pki(os.Args[1:]); err != nil {
			fmt.Fprintf(os.Stderr, "testplane pki: %v\n", err)
			return 1
		}
		return 0
	},
}

func main() {
	command, found := commands[filepath.Base(os.Args[0])]
	if !found && len(os.Args) > 1 {
		os.Args = os.Args[1:]
		command, found = commands[os.Args[0]]
	}
	if !found {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	if os.Getenv("TESTPLANE_LIFELINE") != "" {
		go endWithStdin()
	}
	os.Exit(command())
}

// endWithStdin ends the process when whoever holds the other end of its standard input is gone. The kernel closes
// that end however the holder dies, so nothing is left running, on any Unix.
func endWithStdin() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(1)
}
