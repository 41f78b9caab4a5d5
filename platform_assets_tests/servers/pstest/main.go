// Pub/Sub over gRPC for tests: Google's own pstest, on a free port of the loopback interface.
//
// It redelivers when a deadline ends. It keeps no order, has no dead letters, and its ack ids are its message ids,
// so that acks of an ended lease succeed: what needs those rests on something else.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"cloud.google.com/go/pubsub/pstest"
)

func main() {
	pstest.SetMinAckDeadline(time.Second) // the service's minimum of ten seconds would only make tests slow
	server := pstest.NewServer()
	fmt.Printf("listening on %s\n", server.Addr)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	<-stop
}
