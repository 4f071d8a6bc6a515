/* Preloaded into the worker: once it has given everything away, tries what it may not
 * do any more, and says on stderr how that went. */
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static void say(const char *what, long rc)
{
	fprintf(stderr, "%s %s\n", what, rc >= 0 ? "done" : errno == EPERM ? "EPERM" : "failed");
}

static void *nothing(void *p)
{
	return p;
}

/* The worker asks for its own addresses first. */
int getifaddrs(struct ifaddrs **ret)
{
	char *const argv[] = { (char *)"true", NULL };
	pthread_t t;
	pid_t pid;

	(void)ret;
	say("read", open("/etc/hosts", O_RDONLY));
	say("write", open("/dev/null", O_WRONLY));
	say("change", open("/dev/null", O_RDWR));
	say("create", open("/tmp/ipsecpol-escape", O_RDONLY | O_CREAT, 0600));
	say("unlink", unlink("/tmp/ipsecpol-escape"));
	say("mkdir", mkdir("/tmp/ipsecpol-escape", 0700));
	say("exec", execv("/bin/true", argv));
	pid = fork();
	if (pid == 0)
		_exit(0);
	say("fork", pid);
	say("signal", kill(getppid(), 0));
	say("ptrace", ptrace(PTRACE_ATTACH, getppid(), NULL, NULL));
	say("packet", socket(AF_PACKET, SOCK_RAW, 0));
	say("thread", pthread_create(&t, NULL, nothing, NULL) == 0 ? pthread_join(t, NULL) : -1);
	errno = EPERM;
	return -1;
}
