"""The peers, each as its own documentation recommends for this job."""
