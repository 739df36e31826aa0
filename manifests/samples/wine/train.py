"""Tell a wine's cultivar from its chemistry: plain scikit-learn and MLflow. On a laptop: python train.py"""

import csv
import os
from pathlib import Path

import mlflow
import numpy as np
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

EPOCHS = int(os.environ.get("PARAM_EPOCHS", "100"))
LEARNING_RATE = float(os.environ.get("PARAM_LEARNING_RATE", "0.001"))
SEED = int(os.environ.get("PARAM_SEED", "0"))
DATA = Path(os.environ.get("MLOPS_DATASETS_DIR", ".")) / "wine" / "wine.csv"

with DATA.open() as file:
    table = np.array([[float(value) for value in row.values()] for row in csv.DictReader(file)])
features, cultivar = table[:, :-1], table[:, -1].astype(int)
train_x, test_x, train_y, test_y = train_test_split(
    features, cultivar, test_size=0.3, stratify=cultivar, random_state=SEED
)
scaler = StandardScaler().fit(train_x)
classifier = SGDClassifier(loss="log_loss", learning_rate="constant", eta0=LEARNING_RATE, random_state=SEED)

mlflow.set_experiment("wine")
with mlflow.start_run():
    mlflow.log_params({"epochs": EPOCHS, "learning_rate": LEARNING_RATE, "seed": SEED})
    mlflow.log_metric("baseline_accuracy", np.bincount(test_y).max() / len(test_y))
    for epoch in range(1, EPOCHS + 1):
        classifier.partial_fit(scaler.transform(train_x), train_y, classes=np.unique(cultivar))
        model = make_pipeline(scaler, classifier)
        accuracy = model.score(test_x, test_y)
        mlflow.log_metric("loss", log_loss(train_y, model.predict_proba(train_x)), step=epoch)
        mlflow.log_metric("test_loss", log_loss(test_y, model.predict_proba(test_x)), step=epoch)
        mlflow.log_metric("accuracy", accuracy, step=epoch)
    signature = mlflow.models.infer_signature(test_x, model.predict(test_x))
    mlflow.sklearn.log_model(model, name="model", signature=signature, serialization_format="skops")
print(f"accuracy {accuracy:.3f} after {EPOCHS} epochs")
