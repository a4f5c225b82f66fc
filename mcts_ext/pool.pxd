cdef extern from "pthread.h" nogil:
    ctypedef struct pthread_t:
        pass
    ctypedef struct pthread_mutex_t:
        pass
    ctypedef struct pthread_cond_t:
        pass
    int pthread_create(pthread_t*, const void*, void* (*)(void*) noexcept nogil, void*)
    int pthread_join(pthread_t, void**)
    int pthread_mutex_init(pthread_mutex_t*, const void*)
    int pthread_mutex_lock(pthread_mutex_t*)
    int pthread_mutex_unlock(pthread_mutex_t*)
    int pthread_mutex_destroy(pthread_mutex_t*)
    int pthread_cond_init(pthread_cond_t*, const void*)
    int pthread_cond_wait(pthread_cond_t*, pthread_mutex_t*)
    int pthread_cond_signal(pthread_cond_t*)
    int pthread_cond_broadcast(pthread_cond_t*)
    int pthread_cond_destroy(pthread_cond_t*)


ctypedef void (*Task)(void* context, int index) noexcept nogil


cdef struct Share:
    # The indices of a job that one thread takes first. A cache line of its own.
    int next                             # the first that nobody took (atomic)
    int end
    int padding[14]


cdef struct Workers:
    pthread_mutex_t mutex
    pthread_cond_t work, finished
    Task task
    void* context
    Share* shares                        # [threads]
    int threads                          # the caller's own among them
    long job                             # number of the current job
    long finished_job                    # number of the last one that all are done with
    int busy                             # threads, but the caller's, not done with the current one
    bint closing


cdef struct Worker:
    Workers* workers
    int place                            # of its share


cdef class Pool:
    cdef Workers workers
    cdef Worker* places
    cdef pthread_t* threads
    cdef int num_started
    cdef void run(self, Task task, void* context, int count) noexcept nogil
