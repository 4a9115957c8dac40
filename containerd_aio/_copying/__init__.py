"""Copying files into a container and out of it.

In the middle there is always a tar archive: a local directory is packed into one and unpacked from one as a
container's is, in a worker thread and piece by piece, so that memory is bounded whatever the size. Which way leads to
the container's files is decided anew for each copy (``opening``), from its task's state:

* **A task that is there** (created, running, paused): its init's root, ``/proc/PID/root``, by descriptors
  (``reach``, ``host_files``). It shows what the container sees, with what is mounted into it, needs nothing in the
  image, and is read and written to name by name without following a link (``directory``), so that the container
  cannot lead us out of it. Nothing that is there is opened for writing: a file is made beside its place and renamed
  to it. That the process is the container's is not believed of its pid: what it has mounted as its root must be the
  snapshot's.
* **The same, but not to be seen from here** (no root; another pid namespace, as in a container with the socket
  mounted into it; a virtual machine): a ``tar`` of the container's own, run by an exec (``exec_files``).
* **A task that has ended, and is not deleted**: its overlay, where it is mounted on this host; it can be deleted while
  its files are read. To write to the directories of an overlay that is mounted is undefined, so that is never done.
* **No task**: read from the snapshot's layers, merged by descriptors as the kernel would (``spec.layered``); written
  to by the daemon, as a layer that it applies (``layer``, ``applying``). A file that a mount of the spec would hide
  is refused: it comes with the task.
* **The same, but layers not to be seen from here** (another host, a snapshotter of block devices): the daemon packs
  the snapshot into one archive, which is read in its place (``index``, ``snapshot_files``).

On another host, then, files are copied before the task is made or after it was deleted; FIFOs do not reach that far,
so nothing can be copied while it runs.

What is copied: names (bytes, also such that are no UTF-8), content, modes, numeric owners, times to the nanosecond,
links, hard links of files within the copy, and the attributes ``security.capability`` and ``user.*``
(``attributes``); no ACLs, no other attributes, no sockets. A sparse file is whole in the archive, and zeros become
holes where it is written as a file of this host. An exec's tar knows whole seconds and no attributes, and what the
daemon packs has whole seconds.

Whoever makes an archive is not trusted: not the user's tar, and on the way out not the container's. It is read
member by member (``_tar``), each is checked (``checks``) and written anew: of a header that was read, no byte is
passed on.
"""
