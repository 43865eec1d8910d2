"""Read by gunicorn when started in this folder: gunicorn 'app:create_app()' --workers <cores> --bind 0.0.0.0:8080

The application is loaded before the workers are forked, so that they share its memory and a wrong setting ends
gunicorn itself with code 2, rather than one worker after the other.
"""

preload_app = True
worker_class = "gthread"
threads = 4
timeout = 60
