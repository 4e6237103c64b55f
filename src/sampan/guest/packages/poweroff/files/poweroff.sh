#!/bin/sh
# Ask init to power off (SIGUSR2), after $1 seconds
sleep "${1:-30}"
kill -USR2 1
